"""Several recordings of one lecture, end to end: real faces, real workers, the real models."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import redis

from tests.gallery import portraits
from tests.processes import workers

FPS = 2
SECONDS = {"alice": 5, "bob": 3}
SIZES = {"alice": (640, 360), "bob": (320, 240)}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A recording of each person, with different lengths and sizes."""
    folder = tmp_path_factory.mktemp("recordings")
    return {who: portrait_video(folder / f"{who}.mp4", who, number) for number, who in enumerate(SECONDS)}


def portrait_video(path: Path, who: str, number: int) -> Path:
    width, height = SIZES[who]
    portrait = portraits()[number]
    scaled = cv2.resize(portrait, (round(portrait.shape[1] * height / portrait.shape[0]), height))
    left = (width - scaled.shape[1]) // 2
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=10, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for n in range(SECONDS[who] * 10):
            page = np.full((height, width, 3), 60, np.uint8)
            page[:, left + n % 3 : left + n % 3 + scaled.shape[1]] = scaled
            output.mux(stream.encode(av.VideoFrame.from_ndarray(page, format="bgr24")))
        output.mux(stream.encode())
    return path


def ingested(recordings: dict[str, Path], lecture: str, url: str) -> list[dict[str, Any]]:
    """All events of the recordings as one lecture."""
    sources = [f"{who}={path}" for who, path in recordings.items()]
    command = [sys.executable, "-m", "producer", "ingest", *sources, "--lecture", lecture, "--redis", url, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_two_recordings_are_one_lecture_with_one_and_with_two_workers(
    recordings: dict[str, Path], redis_url: str, client: redis.Redis
) -> None:
    with workers(redis_url, 1):
        printed = ingested(recordings, "l7", redis_url)
    kept = client.hgetall("lecture:{l7}")
    client.flushall()
    with workers(redis_url, 2):
        assert ingested(recordings, "l7", redis_url) == printed

    *_, end = printed
    ledger = end["ledger"]
    assert (end["status"], ledger["sampled"], ledger["published"], ledger["in_flight"]) == ("done", 10, 10, 0)
    assert kept[b"source"] == b"alice=alice.mp4, bob=bob.mp4"
    faces = [(event["frame"], event["t"], event["faces"]) for event in printed if event["type"] == "class"]
    assert faces == [(n, n / FPS, 2 if n < SECONDS["bob"] * FPS else 1) for n in range(10)]
    emotions = [event for event in printed if event["type"] == "emotion"]
    assert {event["participant"] for event in emotions} == {"alice", "bob"}
    for who, seconds in SECONDS.items():
        mine = [event for event in emotions if event["participant"] == who]
        assert [event["frame"] for event in mine] == list(range(seconds * FPS))
        width, height = SIZES[who]
        for x, y, w, h in (event["box"] for event in mine):
            assert width * 0.3 < x + w / 2 < width * 0.7, "the box is in pixels of this person's recording"
            assert 0 < y + h / 2 < height
            assert h > height / 5
