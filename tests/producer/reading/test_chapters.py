"""Chapters come from a file, and name the times of a lecture."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.reading.analysis.chapters import Parts, SlideTimes, displayed
from producer.reading.analysis.sentences import Sentence, placed
from producer.reading.chapters import ChaptersRefused, read_chapters
from tests.producer.reading.scripted import scripted_timeline
from worker.contract.chapters import MAX_CHAPTERS, MAX_TITLE_LENGTH, Chapter, in_order
from worker.contract.messages import SlideEvent

VTT = """WEBVTT - talk

STYLE
::cue { color: red }

00:00.000 --> 01:30.500
<b>Introduction</b>

second
00:01:30.500 --> 00:10:00.000 align:start
The
method
"""


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0:00 Start\n12:05 - The middle\n1:02:03 End", [(0, "Start"), (725, "The middle"), (3723, "End")]),
        ("\ufeff[00:00] A\n\n(00:10) B | C", [(0, "A"), (10, "B | C")]),
        (VTT, [(0, "Introduction"), (90.5, "The method")]),
        (
            "1\n00:00:01,000 --> 00:00:30,000\nOne\n\n2\n00:01:00,250 --> 00:02:00,000\nTwo\n",
            [(1, "One"), (60.25, "Two")],
        ),
        ("0:00 From A --> B", [(0, "From A --> B")]),
        ("WEBVTT\n\n00:00.000 --> 00:09.000\nQ &amp; A: a &lt; b", [(0, "Q & A: a < b")]),
    ],
)
def test_chapters_are_read_from_lines_webvtt_and_srt(
    tmp_path: Path, text: str, expected: list[tuple[float, str]]
) -> None:
    read = read_chapters(written(tmp_path / "c.txt", text))
    assert [(each.t, each.title) for each in read.chapters] == expected
    assert read.notice is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no chapters"),
        ("0:00 A\nhello\n", "line 2 is 'hello'"),
        ("0:10 A\n0:05 B\n", "line 2 is not later"),
        ("WEBVTT\n\n00:00 --> soon\nA\n", "line 3 is '00:00 --> soon'"),
        (b"\xff\xfe0\x00", "is not UTF-8 text"),
        ("\n".join(f"{n // 60}:{n % 60:02} x" for n in range(MAX_CHAPTERS + 1)), f"may have {MAX_CHAPTERS}"),
    ],
)
def test_a_bad_file_gives_one_line_that_says_what_is_wrong(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(ChaptersRefused) as refused:
        read_chapters(written(tmp_path / "c.txt", text))
    assert words in str(refused.value)
    assert "c.txt" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_transcript_becomes_a_chapter_for_every_few_minutes(tmp_path: Path) -> None:
    cues = []
    for n in range(450):  # half an hour; the speaker pauses at 5:04
        t = 4 * n + (4 if n > 75 else 0)
        times = f"{t // 3600:02}:{t // 60 % 60:02}:{t % 60:02},000 --> {t // 3600:02}:{t // 60 % 60:02}:{t % 60:02},900"
        cues.append(f"{n + 1}\n{times}\nthese are words number {n} of the lecture\n")
    read = read_chapters(written(tmp_path / "talk.srt", "\n".join(cues)))
    assert read.notice is not None
    assert "looks like a transcript (450 cues)" in read.notice
    assert 5 <= len(read.chapters) <= 7
    assert read.chapters[1] == Chapter(308.0, "“these are words number 76 of the lecture…”")


@given(st.lists(st.tuples(st.floats(-10, 1e9), st.text())))
def test_titles_are_printable_lines_and_times_increase(found: list[tuple[float, str]]) -> None:
    chapters = in_order(found)
    assert all(each.title and len(each.title) <= MAX_TITLE_LENGTH and "\n" not in each.title for each in chapters)
    assert [each.t for each in chapters] == sorted({each.t for each in chapters})


def parts() -> Parts:
    times = SlideTimes()
    for number, t in enumerate((0.0, 20.0, 40.0), 1):
        times.add(SlideEvent("l", int(2 * t), t, number))
    return times.parts([Chapter(30.0, "Method"), Chapter(5000.0, "Too late")], 60.0)


def test_a_time_is_called_by_its_slide_or_without_slides_by_its_chapter() -> None:
    assert [parts().place(t) for t in (0, 25, 59)] == ["slide 1", "slide 2", "slide 3"]
    assert [Parts(chapters=parts().chapters).place(t) for t in (0, 31)] == [None, "“Method”"]
    assert Parts().place(3) is None
    assert [(each.begin, each.end) for each in parts().slides] == [(0, 20), (20, 40), (40, 60)]
    assert [each.title for each in parts().chapters] == ["Method"]


def test_slides_stay_in_the_order_of_time_if_their_numbers_begin_again() -> None:
    """A worker of an older version that commits a chunk drops the count."""
    times = SlideTimes()
    for t, number in [(0.0, 1), (10.0, 2), (20.0, 1), (30.0, 2)]:
        times.add(SlideEvent("l", int(2 * t), t, number))
    slides = times.parts([], 60.0).slides
    assert [(each.begin, each.end) for each in slides] == [(0, 10), (10, 20), (20, 30), (30, 60)]


def test_sentences_name_slides_instead_of_times() -> None:
    place = Parts(slides=parts().slides).place
    burst, stretch = ("At ", 25.0, ", it laughed."), ("From ", 5.0, " to ", 45.0, ", they smiled.")
    assert placed(Sentence(burst), place).text == "At slide 2 (0:00:25), it laughed."
    assert placed(Sentence(stretch), place).text == "From slide 1 to slide 3 (0:00:05 to 0:00:45), they smiled."
    inside = Sentence(("From ", 21.0, " to ", 39.0, ", they smiled."))
    assert placed(inside, place).text == "At slide 2, from 0:00:21 to 0:00:39, they smiled."
    assert placed(inside, lambda t: "“End”").text == "In “End”, from 0:00:21 to 0:00:39, they smiled."
    assert placed(inside, lambda t: None) == inside


def test_a_part_is_compared_with_the_usual_of_each_person() -> None:
    """Two of three smile from 20 to 40 s; the third leaves, which is no change."""

    def shows(person: int, frame: int) -> str | None:
        if person == 2:
            return "neutral" if frame < 30 else None
        return "happiness" if 40 <= frame < 80 else "neutral"

    timeline = scripted_timeline(3, 160, shows)
    times = SlideTimes()
    for number, t in enumerate((0.0, 20.0, 40.0), 1):
        times.add(SlideEvent("l", int(2 * t), t, number))
    first, second, third = times.parts([], timeline.seconds).slides
    usual, smiling = displayed(first, timeline), displayed(second, timeline)
    assert usual is not None
    assert usual.change == {}
    assert smiling is not None
    assert (next(iter(smiling.change)), smiling.people, smiling.of) == ("happiness", 2, 2)
    assert displayed(third, timeline) == usual
