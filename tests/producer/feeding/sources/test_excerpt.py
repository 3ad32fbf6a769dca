"""A part of a recording: the same frames as of the whole one, with the times of the file, counted from 0."""

import threading
from pathlib import Path

import pytest

from producer.feeding.sources.address import SourceError
from producer.feeding.sources.excerpt import Excerpt
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.sources.opening import open_sources
from producer.feeding.sources.request import SourceRequest
from tests.producer.feeding.films import as_matroska, film
from tests.streams import served_folder, served_stream

NEVER = threading.Event()
FPS = 2.0

Seen = list[tuple[int, float, bytes, str | None]]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of 8 and 5 s, and one whose pictures begin 2 s after the sound."""
    folder = tmp_path_factory.mktemp("films")
    film(folder / "a.mp4", pictures=200)
    film(folder / "b.mp4", pictures=125)
    as_matroska(folder / "a.mp4", folder / "a.mkv")
    film(folder / "late.mp4", pictures=200, first_pts=50, sound_s=10.0)
    return folder


def frames(folder: Path, names: list[str], excerpt: Excerpt, first: int = 0) -> tuple[list[SampledFrame], int | None]:
    people = [name.partition(".")[0] if len(names) > 1 else None for name in names]
    requests = [SourceRequest(str(folder / name), who) for name, who in zip(names, people, strict=True)]
    with open_sources(requests, FPS, first=first, excerpt=excerpt) as source:
        found = list(source.frames(NEVER))
        assert source.shortfall is None
        return found, source.expected


def seen(found: list[SampledFrame], first: int = 0) -> Seen:
    return [(each.frame - first, each.t, each.jpeg, each.participant) for each in found]


@pytest.mark.parametrize("names", [["a.mkv"], ["late.mp4"], ["b.mp4", "late.mp4"]])
@pytest.mark.parametrize("excerpt", [Excerpt(3.5, 7.0), Excerpt(1.3, None), Excerpt(4.9, 5.2)])
def test_an_excerpt_has_the_frames_of_its_times(films: Path, names: list[str], excerpt: Excerpt) -> None:
    whole, _ = frames(films, names, Excerpt())
    begin, end = excerpt.begin or 0.0, excerpt.end or 100.0
    inside = [each for each in whole if begin <= each.t < end]
    wanted = seen(inside, inside[0].frame)
    found, expected = frames(films, names, excerpt)
    assert seen(found) == wanted
    assert expected == wanted[-1][0] + 1
    if len(wanted) > 3:
        resumed, _ = frames(films, names, excerpt, first=3)
        assert seen(resumed) == [each for each in wanted if each[0] >= 3]


def test_an_excerpt_that_the_recording_does_not_have_is_refused(films: Path) -> None:
    said = r"b\.mp4: has pictures from 0:00:00 to 0:00:05, and none from 0:00:06 to 0:00:07; give other times"
    with pytest.raises(SourceError, match=said):
        frames(films, ["b.mp4"], Excerpt(6.0, 7.0))
    with pytest.raises(SourceError, match="has pictures from 0:00:02 to 0:00:10, and none from 0:00:00 to 0:00:01"):
        frames(films, ["late.mp4"], Excerpt(None, 1.0))


def test_an_excerpt_of_a_recording_behind_a_url(films: Path) -> None:
    with served_folder(films) as url:
        requests = [SourceRequest(f"{url}/a.mp4", None)]
        with open_sources(requests, FPS, excerpt=Excerpt(3.0, 5.0)) as opened:
            assert [each.t for each in opened.frames(NEVER)] == [3.0, 3.5, 4.0, 4.5]


def test_there_is_no_excerpt_of_a_live_source() -> None:
    with (
        served_stream("mpegts") as url,
        pytest.raises(SourceError, match="is live; --from and --to are for recordings"),
        open_sources([SourceRequest(url, None)], FPS, excerpt=Excerpt(3.0)),
    ):
        pass
