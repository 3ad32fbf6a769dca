"""`producer ingest` of a file with several videos: the hint, `--stream`, and resuming."""

import signal
from pathlib import Path

import pytest
import redis

from tests.processes import called, eventually, json_lines, ran, started
from tests.producer.committing import committing
from tests.producer.feeding.films import Track, film, several
from worker.contract.keys import LectureKeys

KEYS = LectureKeys("l")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty seconds of slides and of the lecturer."""
    folder = tmp_path_factory.mktemp("two")
    slides = film(folder / "slides.mp4", pictures=80, fps=4)
    lecturer = film(folder / "lecturer.mp4", pictures=80, fps=4, size=(240, 240))
    return several(folder / "two.mkv", Track(slides, "Slides"), Track(lecturer, "Lecturer"))


def hint(two: Path) -> str:
    videos = "1 (320x240, Slides), 2 (240x240, Lecturer)"
    return f"{two}: has 2 videos: {videos}; video 1 is read; choose with --stream N"


def test_several_videos_are_named_at_the_start_and_again_if_nobody_was_seen(redis_url: str, two: Path) -> None:
    with committing(redis_url, empty=True):
        code, out, err = ran("ingest", two, "--redis", redis_url)
    assert code == 0
    assert out.splitlines()[:2] == ["nobody was seen", hint(two)]
    assert err.splitlines()[0] == f"producer: {hint(two)}"
    with committing(redis_url, empty=True):
        code, out, err = ran("ingest", two, "--redis", redis_url, "--class-only")
    assert out.splitlines()[:2] == ["nobody was seen", hint(two)]
    with committing(redis_url):
        for option in ("--json", "--class-only"):
            code, out, err = ran("ingest", two, "--redis", redis_url, option)
            assert (code, hint(two) in out, err.count(hint(two))) == (0, False, 1)


def test_a_stream_is_chosen_and_nothing_is_said(client: redis.Redis, redis_url: str, two: Path) -> None:
    with committing(redis_url):
        code, out, err = ran("ingest", two, "--redis", redis_url, "--stream", "lecturer", "--lecture", "l", "--json")
    assert (code, err) == (0, "")
    assert json_lines(out)[-1]["status"] == "done"
    assert client.hmget(KEYS.info, "source", "width", "height") == [b"two.mkv (video 2)", b"240", b"240"]


def test_a_stream_that_is_not_there_is_one_line_and_exit_code_2(client: redis.Redis, redis_url: str, two: Path) -> None:
    for wanted in ("3", "-1", "eng"):
        code, out, err = called("ingest", two, "--redis", redis_url, "--stream", wanted)
        assert (code, out) == (2, "")
        assert err == (
            f"producer: {two}: has no video '{wanted}'; it has 2 videos: 1 (320x240, Slides), 2 (240x240, Lecturer); "
            "choose one of them with --stream N\n"
        )
    assert client.dbsize() == 0


def test_a_lecture_is_resumed_with_the_same_stream_only(client: redis.Redis, redis_url: str, two: Path) -> None:
    words = ["ingest", two, "--redis", redis_url, "--lecture", "l", "--json"]
    with started(*words, "--stream", "2", "--max-bytes", 1) as process:
        eventually(lambda: client.hlen(KEYS.in_flight))
        process.send_signal(signal.SIGINT)
        with committing(redis_url):
            process.communicate(timeout=60)
    assert client.hget(KEYS.info, "status") == b"stopped"
    for others in ([], ["--stream", "1"]):
        code, out, err = called(*words, *others, "--resume")
        assert (code, out) == (2, "")
        assert (
            err
            == "producer: lecture l cannot be resumed: source was two.mkv (video 2) at its start and is two.mkv now\n"
        )
    with committing(redis_url):
        code, out, _ = ran(*words, "--stream", "Lecturer", "--resume")
    assert code == 0
    assert json_lines(out)[-1]["ledger"]["published"] == 40
