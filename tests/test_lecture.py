"""The main job, end to end: the command a teacher runs, the private Redis, real workers, the real models."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.gallery import Tile, render_gallery
from tests.processes import workers
from worker.contract.messages import EMOTIONS

SECONDS = 6.0
FPS = 2
FRAMES = int(SECONDS * FPS)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Tile]]:
    """A lecture of nine people, and where each one is."""
    video = tmp_path_factory.mktemp("video") / "g9.mp4"
    return video, render_gallery(video, people=9, seconds=SECONDS)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's data folder that holds nothing yet."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("REDIS_URL", raising=False)
    return tmp_path


def producer(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "producer", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)


def events_in(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.usefixtures("home")
def test_a_gallery_becomes_a_channel_for_every_participant(gallery: tuple[Path, list[Tile]]) -> None:
    video, tiles = gallery
    done = producer("ingest", video, "--lecture", "g9", "--json")
    assert done.returncode == 0, done.stderr
    events = events_in(done.stdout)

    class_events = [event for event in events if event["type"] == "class"]
    assert [event["frame"] for event in class_events] == list(range(FRAMES))
    assert [event["t"] for event in class_events] == [n / FPS for n in range(FRAMES)]
    assert [event["faces"] for event in class_events] == [9] * FRAMES

    emotions = [event for event in events if event["type"] == "emotion"]
    by_participant: dict[str, list[dict[str, Any]]] = {}
    for event in emotions:
        by_participant.setdefault(event["participant"], []).append(event)
        assert tuple(event["scores"]) == EMOTIONS
        assert sum(event["scores"].values()) == pytest.approx(1, abs=1e-3)
        assert event["emotion"] == max(event["scores"], key=event["scores"].__getitem__)
        assert set(event["models"].values()) <= set(EMOTIONS)
    assert sorted(by_participant) == [f"p{n:02d}" for n in range(1, 10)], "row by row, as many as there are people"
    for tile, (_, story) in zip(tiles, sorted(by_participant.items()), strict=True):
        assert [event["frame"] for event in story] == list(range(FRAMES))
        assert all(tile.holds(event["box"]) for event in story)

    (end,) = [event for event in events if event["type"] == "end"]
    assert end is events[-1] or end == events[-1]
    ledger = end["ledger"]
    assert (end["status"], ledger["sampled"], ledger["published"]) == ("done", FRAMES, FRAMES)


@pytest.mark.usefixtures("home")
def test_what_was_ingested_can_be_listed_watched_exported_and_forgotten_afterwards(
    gallery: tuple[Path, list[Tile]], tmp_path: Path
) -> None:
    video, _ = gallery
    ingested = events_in(producer("ingest", video, "--lecture", "g9", "--json").stdout)
    assert "g9" in producer("list").stdout
    watched = producer("watch", "g9", "--from-start", "--json")
    assert events_in(watched.stdout) == ingested
    third = producer("watch", "g9", "--participant", "p03", "--from-start", "--json")
    assert {event.get("participant", "p03") for event in events_in(third.stdout)} == {"p03"}
    table = tmp_path / "events.csv"
    assert producer("export", "g9", "-o", table).returncode == 0
    assert len(table.read_text().splitlines()) == 1 + 9 * FRAMES
    assert producer("forget", "g9").returncode == 0
    assert producer("watch", "g9").returncode == 2


def test_the_private_mode_and_workers_elsewhere_tell_the_same(
    gallery: tuple[Path, list[Tile]], home: Path, redis_url: str, client: redis.Redis
) -> None:
    video, _ = gallery
    alone = producer("ingest", video, "--lecture", "g9", "--workers", "1", "--json")
    with workers(redis_url, 2):
        together = producer("ingest", video, "--lecture", "g9", "--redis", redis_url, "--json")
    assert together.returncode == 0, together.stderr
    assert events_in(together.stdout) == events_in(alone.stdout)
    assert producer("forget", "g9", "--redis", redis_url).returncode == 0
    assert list(client.scan_iter("lecture:*")) == []


@pytest.mark.usefixtures("home")
def test_ctrl_c_says_where_it_stopped_and_keeps_what_was_done(tmp_path: Path) -> None:
    video = tmp_path / "long.mp4"
    render_gallery(video, people=2, seconds=60, size=(640, 360), fps=5)
    command = [sys.executable, "-m", "producer", "ingest", str(video), "--lecture", "l", "--fps", "20", "--json"]
    command += ["--workers", "1", "--max-bytes", "100000"]
    said = tmp_path / "said"
    with (
        said.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as running,
    ):
        assert running.stdout is not None
        first = json.loads(running.stdout.readline())
        running.send_signal(signal.SIGINT)
        events = [first, *events_in(running.stdout.read())]
    assert running.returncode == 130
    assert "stopped at" in said.read_text()
    assert events[-1]["status"] == "stopped"
    ledger = events[-1]["ledger"]
    assert 0 < ledger["published"] == ledger["sampled"] < 1200
    assert [e["frame"] for e in events if e["type"] == "class"] == list(range(ledger["sampled"]))
    assert events_in(producer("watch", "l", "--from-start", "--json").stdout) == events


@pytest.mark.usefixtures("home")
def test_the_one_person_of_a_recording_goes_by_the_name_given(tmp_path: Path) -> None:
    video = tmp_path / "alice.mp4"
    render_gallery(video, people=1, seconds=2, size=(640, 360))
    done = producer("ingest", video, "--participant", "alice", "--json")
    assert {e["participant"] for e in events_in(done.stdout) if e["type"] == "emotion"} == {"alice"}
    assert {e["lecture"] for e in events_in(done.stdout)} == {"alice"}


def test_a_killed_ingest_leaves_no_process_behind(gallery: tuple[Path, list[Tile]], home: Path) -> None:
    video, _ = gallery
    running = subprocess.Popen([sys.executable, "-m", "producer", "ingest", str(video)], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not _processes_of(home, "worker") and time.monotonic() < until:
        time.sleep(0.1)
    assert _processes_of(home, "worker")
    running.kill()
    running.wait()
    while _processes_of(home, "worker") and time.monotonic() < until:
        time.sleep(0.1)
    assert not _processes_of(home, "worker")
    assert producer("list").returncode == 0, "the next command finds the Redis that was left, and stops it"
    assert not _processes_of(home, "redis-server")


def _processes_of(home: Path, program: str) -> list[int]:
    """The processes of `program` that were started with `home` as the data folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words, environment = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:
            continue
        if program.encode() in words and os.fsencode(home) in environment and int(process.name) != os.getpid():
            found.append(int(process.name))
    return found
