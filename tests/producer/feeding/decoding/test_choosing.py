"""Which of several videos is chosen, from their sizes and names alone."""

import pytest

from producer.feeding.decoding.choosing import Choice, Video, choose
from producer.feeding.decoding.container import Unreadable


def rendition(width: int, height: int, bit_rate: int = 0, rate: float = 25.0, title: str = "") -> Video:
    return Video(width, height, bit_rate, rate, title=title, rank=(True,))


SMALL, MIDDLE, LARGE, HUGE = [rendition(side * 16, side * 9) for side in (20, 80, 120, 240)]


@pytest.mark.parametrize(
    ("offered", "best"),
    [
        ([SMALL, MIDDLE, LARGE, HUGE], 2),
        ([HUGE, LARGE, MIDDLE, SMALL], 1),
        ([SMALL, MIDDLE], 1),
        ([HUGE, rendition(7680, 4320)], 0),
        ([rendition(0, 0), SMALL], 1),
        ([rendition(720, 1280), rendition(1080, 1920), rendition(1440, 2560)], 1),
        ([rendition(1280, 720, 900), rendition(1280, 720, 2000), rendition(1280, 720, 100)], 1),
        ([rendition(1280, 720, rate=25), rendition(1280, 720, rate=50)], 1),
        ([rendition(1280, 960), rendition(1280, 720, 9000)], 0),
    ],
)
def test_the_largest_rendition_that_fits_is_chosen(offered: list[Video], best: int) -> None:
    assert choose(offered, None, 1920) == Choice(best)


def test_renditions_with_another_title_are_another_video() -> None:
    offered = [rendition(640, 360), MIDDLE, rendition(1280, 720, title="Board"), rendition(320, 180, title="Board")]
    assert choose(offered, None, 1920) == Choice(
        1,
        2,
        notice="has 4 videos: 1 (640x360), 2 (1280x720), 3 (1280x720, Board), 4 (320x180, Board); video 2 is read; "
        "choose with --stream N",
    )
    assert choose(offered, "board", 1920) == Choice(2, 3, usual=False)
    assert choose(offered, "4", 1920) == Choice(3, 4, usual=False)


SLIDES = Video(640, 360, 0, 25.0, "deu", "Slides", (True, True))
LECTURER = Video(480, 480, 0, 25.0, "eng", "The Lecturer", (True, True))


def test_a_file_with_several_videos_names_them_and_reads_the_first() -> None:
    assert choose([SLIDES], None) == Choice()
    assert choose([SLIDES, LECTURER], None) == Choice(
        0,
        1,
        notice="has 2 videos: 1 (640x360, deu, Slides), 2 (480x480, eng, The Lecturer); video 1 is read; "
        "choose with --stream N",
    )
    assert choose([SLIDES._replace(rank=(True, False)), LECTURER], None).place == 1


@pytest.mark.parametrize("wanted", ["2", "eng", "ENG", "the lecturer"])
def test_a_number_a_language_or_a_title_chooses_and_nothing_more_is_said(wanted: str) -> None:
    assert choose([SLIDES, LECTURER], wanted) == Choice(1, 2, usual=False)


def test_the_usual_video_may_be_named_too() -> None:
    assert choose([SLIDES, LECTURER], "Slides") == Choice(0, 1)
    assert choose([SLIDES], "1") == Choice()


@pytest.mark.parametrize("wanted", ["3", "0", "-1", "01", "", "Lecturer", "9" * 9999])
def test_another_word_is_refused_with_all_that_can_be_chosen(wanted: str) -> None:
    with pytest.raises(Unreadable) as refused:
        choose([SLIDES, LECTURER], wanted)
    assert str(refused.value) == (
        f"has no video {wanted[:40]!r}; it has 2 videos: 1 (640x360, deu, Slides), 2 (480x480, eng, The Lecturer); "
        "choose one of them with --stream N"
    )


def test_a_name_of_two_videos_is_refused() -> None:
    with pytest.raises(Unreadable, match=r"^has 2 videos with the name 'deu'; it has 3 videos: 1 "):
        choose([SLIDES, LECTURER, SLIDES], "deu")


def test_names_are_short_and_without_control_characters_and_many_videos_are_not_all_listed() -> None:
    notice = choose([SLIDES._replace(title="\x1b[31m" + "x" * 99)] * 30, None).notice
    assert notice is not None
    assert "\x1b" not in notice
    assert "x" * 41 not in notice
    assert notice.endswith(") and 22 more; video 1 is read; choose with --stream N")
