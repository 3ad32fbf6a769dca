"""`--chapters` and the chapters of a recording, through ingest and report."""

from pathlib import Path

import av
import pytest
import redis

from producer.reading.lectures import read_lecture
from tests.processes import ran
from tests.producer.committing import committing
from tests.producer.feeding.films import MILLISECOND, film
from worker.contract.chapters import MAX_CHAPTERS

CHAPTERS = [(0, "Start"), (800, "Middle\n\x07 part"), (1600, "")]


def with_chapters(path: Path, chapters: list[tuple[int, str]]) -> Path:
    """The same video with chapters, each given by its first millisecond and title."""
    target = path.with_name(f"chapters-{path.name}")
    with av.open(str(path)) as source, av.open(str(target), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        output.set_chapters(
            [
                {"id": n, "start": t, "end": t + 700, "time_base": MILLISECOND, "metadata": {"title": title}}
                for n, (t, title) in enumerate(chapters)
            ]
        )
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    return target


def of(client: redis.Redis, lecture: str) -> list[tuple[float, str]]:
    return [(round(each.t, 2), each.title) for each in read_lecture(client, lecture).info.chapters]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_the_chapters_of_a_recording_are_read_and_a_file_replaces_them(
    client: redis.Redis, redis_url: str, tmp_path: Path, suffix: str
) -> None:
    video = with_chapters(film(tmp_path / f"talk.{suffix}", pictures=75), CHAPTERS)
    given = tmp_path / "c.txt"
    given.write_text("0:00 Hello\n0:02 World\n")
    with committing(redis_url):
        assert ran("ingest", video, "--redis", redis_url, "--lecture", "own", "--json")[::2] == (0, "")
        code, _, err = ran("ingest", video, "--redis", redis_url, "--lecture", "l", "--chapters", given, "--json")
    assert (code, err) == (0, "")
    assert of(client, "own") == [(0, "Start"), (0.8, "Middle part"), (1.6, "chapter 3")]
    assert of(client, "l") == [(0, "Hello"), (2, "World")]
    page = tmp_path / "l.html"
    given.write_text("0:01 Another <b>\n")
    assert ran("report", "l", "-o", page, "--redis", redis_url, "--chapters", given)[0] == 0
    assert "Another &lt;b&gt;" in page.read_text()
    assert "Hello" not in page.read_text()


def test_chapters_that_are_none_are_left_out(redis_url: str, client: redis.Redis, tmp_path: Path) -> None:
    video = film(tmp_path / "a.mp4", pictures=50)
    many = [(n, "x") for n in range(MAX_CHAPTERS + 1)]
    with committing(redis_url):
        for name, chapters in (("one", CHAPTERS[:1]), ("many", many)):
            path = with_chapters(video, chapters)
            assert ran("ingest", path, "--redis", redis_url, "--lecture", name, "--json")[::2] == (0, "")
            assert of(client, name) == []


def test_a_bad_file_is_refused_before_anything_is_done(client: redis.Redis, redis_url: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_text("0:00 Start\nand then\n")
    for arguments in (("ingest", "talk.mp4"), ("report", "l", "-o", tmp_path / "l.html")):
        code, out, err = ran(*arguments, "--chapters", bad, "--redis", redis_url)
        assert (code, out) == (2, "")
        assert err.strip().splitlines()[-1].endswith("line 2 is 'and then'; each line must be like `0:00 Title`")
    assert client.keys("lecture:*") == []
