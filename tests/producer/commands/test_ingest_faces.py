"""Several recordings of one lecture, end to end: real faces, real workers, the real models."""

from pathlib import Path
from typing import Any

import pytest
import redis

from tests.gallery import render_gallery
from tests.processes import eventually, json_lines, ran, worker_pids, workers

FPS = 2
SECONDS = {"alice": 5, "bob": 3}
SIZES = {"alice": (640, 360), "bob": (320, 240)}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A recording of each person, with different lengths and sizes."""
    folder = tmp_path_factory.mktemp("recordings")
    for who, seconds in SECONDS.items():
        render_gallery(folder / f"{who}.mp4", 1, seconds, SIZES[who])
    return {who: folder / f"{who}.mp4" for who in SECONDS}


def ingested(recordings: dict[str, Path], lecture: str, url: str) -> list[dict[str, Any]]:
    """All events of the recordings as one lecture, but for its name."""
    sources = [f"{who}={path}" for who, path in recordings.items()]
    code, out, err = ran("ingest", *sources, "--lecture", lecture, "--redis", url, "--json")
    assert (code, err) == (0, "")
    return [{**event, "lecture": ""} for event in json_lines(out)]


def test_two_recordings_are_one_lecture_with_one_and_with_two_workers(
    recordings: dict[str, Path], redis_url: str, client: redis.Redis
) -> None:
    with workers(redis_url, 1):
        eventually(lambda: worker_pids(client))  # or the producer says that no worker takes frames
        printed = ingested(recordings, "l7", redis_url)
        with workers(redis_url, 1):
            eventually(lambda: len(worker_pids(client)) == 2)
            assert ingested(recordings, "l8", redis_url) == printed

    *_, end = printed
    ledger = end["ledger"]
    assert (end["status"], ledger["sampled"], ledger["published"], ledger["in_flight"]) == ("done", 10, 10, 0)
    assert client.hget("lecture:{l7}", "source") == b"alice=alice.mp4, bob=bob.mp4"
    faces = [(event["frame"], event["t"], event["faces"]) for event in printed if event["type"] == "class"]
    assert faces == [(n, n / FPS, 2 if n < SECONDS["bob"] * FPS else 1) for n in range(10)]
    emotions = [event for event in printed if event["type"] == "emotion"]
    assert {event["participant"] for event in emotions} == {"alice", "bob"}
    assert max(abs(angle) for event in emotions for angle in event["pose"].values()) < 30, "portraits face the camera"
    assert {event["turned_away"] for event in printed if event["type"] == "class"} == {0}
    for who, seconds in SECONDS.items():
        mine = [event for event in emotions if event["participant"] == who]
        assert [event["frame"] for event in mine] == list(range(seconds * FPS))
        width, height = SIZES[who]
        for x, y, w, h in (event["box"] for event in mine):
            assert width * 0.3 < x + w / 2 < width * 0.7, "the box is in pixels of this person's recording"
            assert 0 < y + h / 2 < height
            assert h > height / 5
