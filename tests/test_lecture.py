"""The main job, end to end: the command a teacher runs, the private Redis, real workers, the real models."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.gallery import Tile, render_gallery
from tests.processes import eventually, json_lines, ran, started, workers
from worker.contract.messages import EMOTIONS

SECONDS = 6.0
FPS = 2
FRAMES = int(SECONDS * FPS)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Tile]]:
    """A lecture of nine people, and where each one is."""
    video = tmp_path_factory.mktemp("video") / "g9.mp4"
    return video, render_gallery(video, people=9, seconds=SECONDS)


def test_a_gallery_becomes_a_channel_for_every_participant(gallery: tuple[Path, list[Tile]]) -> None:
    video, tiles = gallery
    code, out, err = ran("ingest", video, "--lecture", "g9", "--json")
    assert (code, err) == (0, "")
    events = json_lines(out)

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
    assert end == events[-1]
    ledger = end["ledger"]
    assert (end["status"], ledger["sampled"], ledger["published"]) == ("done", FRAMES, FRAMES)


def test_what_was_ingested_can_be_listed_watched_exported_and_forgotten_afterwards(
    gallery: tuple[Path, list[Tile]], tmp_path: Path
) -> None:
    video, _ = gallery
    ingested = ran("ingest", video, "--lecture", "g9", "--json")[1]
    assert "g9" in ran("list")[1]
    assert ran("watch", "g9", "--from-start", "--json") == (0, ingested, "")
    third = json_lines(ran("watch", "g9", "--participant", "p03", "--from-start", "--json")[1])
    assert {event.get("participant", "p03") for event in third} == {"p03"}
    table = tmp_path / "events.csv"
    assert ran("export", "g9", "-o", table)[0] == 0
    assert len(table.read_text().splitlines()) == 1 + 9 * FRAMES
    assert ran("forget", "g9")[0] == 0
    assert ran("watch", "g9")[0] == 2


def test_the_private_mode_and_workers_elsewhere_publish_the_same(
    gallery: tuple[Path, list[Tile]], redis_url: str, client: redis.Redis
) -> None:
    video, _ = gallery
    alone = ran("ingest", video, "--lecture", "g9", "--workers", "1", "--json")
    with workers(redis_url, 2):
        together = ran("ingest", video, "--lecture", "g9", "--redis", redis_url, "--json")
    assert (together[:2], together[0]) == (alone[:2], 0)
    assert ran("forget", "g9", "--redis", redis_url)[0] == 0
    assert list(client.scan_iter("lecture:*")) == []


def test_ctrl_c_says_where_it_stopped_and_keeps_what_was_done(tmp_path: Path) -> None:
    video = tmp_path / "long.mp4"
    render_gallery(video, people=2, seconds=60, size=(640, 360), fps=5)
    words = ["ingest", video, "--lecture", "l", "--fps", 20, "--json", "--workers", 1, "--max-bytes", 100_000]
    with started(*words) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        first = running.stdout.readline()
        running.send_signal(signal.SIGINT)
        printed = first + running.stdout.read()  # communicate would lose what readline has read ahead
        err = running.stderr.read()
    events = json_lines(printed)
    assert running.returncode == 130
    assert "stopped at" in err
    assert events[-1]["status"] == "stopped"
    ledger = events[-1]["ledger"]
    assert 0 < ledger["published"] == ledger["sampled"] < 1200
    assert [e["frame"] for e in events if e["type"] == "class"] == list(range(ledger["sampled"]))
    assert ran("watch", "l", "--from-start", "--json")[1] == printed


def test_the_one_person_of_a_recording_goes_by_the_name_given(tmp_path: Path) -> None:
    video = tmp_path / "alice.mp4"
    render_gallery(video, people=1, seconds=2, size=(640, 360))
    events = json_lines(ran("ingest", video, "--participant", "alice", "--json")[1])
    assert {e["participant"] for e in events if e["type"] == "emotion"} == {"alice"}
    assert {e["lecture"] for e in events} == {"alice"}


def test_a_killed_ingest_leaves_no_process_behind(gallery: tuple[Path, list[Tile]], home: Path) -> None:
    video, _ = gallery
    with started("ingest", video) as running:
        eventually(lambda: _processes_of(home, "worker"))
        running.kill()
    eventually(lambda: not _processes_of(home, "worker"))
    assert ran("list")[0] == 0, "the next command finds the Redis that was left, and stops it"
    eventually(lambda: not _processes_of(home, "redis-server"))  # it answers shortly before it ends


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
