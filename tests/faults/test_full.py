"""Redis at its maxmemory, a full disk, and a wall clock that jumps."""

import itertools
import signal
import threading
import time
from pathlib import Path

import pytest
import redis

from producer.embedded.folder import data_folder
from producer.embedded.server import ResultsUnsaved, private_redis
from producer.feeding import fed_lecture
from producer.feeding.feed import Feed
from producer.feeding.starting import NewLecture
from producer.reading.lectures import list_lectures, participants
from tests.faults.commands import finished, producing
from tests.faults.slides import FPS, NEVER, SIZE, Slides, begin, feed_camera_through, published, undisturbed
from tests.lectures import ledger_of
from tests.processes import eventually
from tests.producer.committing import work_on
from worker.contract.connection import connect
from worker.contract.keys import LectureKeys
from worker.contract.lifetimes import FEEDER_TTL_S
from worker.contract.messages import Event

KEYS = LectureKeys("l")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    said: list[object] = []
    monkeypatch.setattr(fed_lecture, "say", said.append)
    return said


FULL = "Redis is full (its maxmemory); waiting until workers, `producer forget` or more memory make room"


def fill(client: redis.Redis) -> None:
    """Leave no free memory."""
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", 1)


def empty(client: redis.Redis) -> None:
    client.config_set("maxmemory", 0)


def check_committed(client: redis.Redis, said: list[object], expected: dict[str, list[Event]]) -> None:
    """Commit what is in flight: the lecture is whole, and the producer said once that Redis was full."""
    work_on(client, KEYS)
    assert said == [FULL]
    assert published(client, "l") == expected
    assert ledger_of(client, KEYS).balances


def test_a_feed_waits_while_redis_is_full_says_so_once_and_loses_nothing(
    client: redis.Redis, said: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fed_lecture, "RENEW_EVERY_S", 0.0)
    expected = undisturbed(client, 40)
    feed = begin(client, "l")
    fed = threading.Thread(
        target=feed.run, args=(Slides(40, at=lambda number: fill(client) if number == 20 else None), NEVER)
    )
    fed.start()
    try:
        eventually(lambda: said)
        client.expire(KEYS.feeder, FEEDER_TTL_S // 2)
        eventually(lambda: client.ttl(KEYS.feeder) > FEEDER_TTL_S // 2)  # the heartbeat is renewed even now
        assert feed.progress.frames == 16
        assert [(each.id, each.ledger.in_flight) for each in list_lectures(client)][-1] == ("l", 16)
        assert participants(client, "l") == {}
    finally:
        empty(client)
    fed.join()
    check_committed(client, said, expected)


@pytest.mark.parametrize("step", range(4))
def test_wherever_redis_becomes_full_a_chunk_is_pushed_as_soon_as_there_is_room(
    client: redis.Redis, said: list[object], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Before each write of a push: the pixels, the ledger, the job, and the next push."""
    expected = undisturbed(client, 40)
    feed = begin(client, "l")
    writes = itertools.count()
    execute = redis.client.Pipeline.execute

    def becoming_full(pipe: redis.client.Pipeline, raise_on_error: bool = True) -> list[object]:
        if threading.current_thread() is fed and next(writes) == 4 + step:
            fill(client)
        return execute(pipe, raise_on_error)

    monkeypatch.setattr(redis.client.Pipeline, "execute", becoming_full)
    fed = threading.Thread(target=feed.run, args=(Slides(40), NEVER))
    fed.start()
    try:
        eventually(lambda: said)
        eventually(lambda: not client.exists(KEYS.chunk(2)) or client.hexists(KEYS.in_flight, "2"))
    finally:
        empty(client)
    fed.join()
    check_committed(client, said, expected)


def test_frames_of_a_live_source_are_dropped_and_counted_while_redis_is_full(
    client: redis.Redis, said: list[object]
) -> None:
    def fill_and_wait() -> None:
        fill(client)
        eventually(lambda: said)

    feed_camera_through(client, fill_and_wait, lambda: empty(client))


def test_a_lecture_starts_when_a_full_redis_has_room_again(client: redis.Redis, said: list[object]) -> None:
    expected = undisturbed(client, 20)
    fill(client)

    def make_room() -> None:
        eventually(lambda: said)
        empty(client)

    meanwhile = threading.Thread(target=make_room)
    meanwhile.start()
    begin(client, "l").run(Slides(20), NEVER)
    meanwhile.join()
    check_committed(client, said, expected)


def test_a_producer_that_waits_for_a_full_redis_says_so_and_can_be_stopped(
    client: redis.Redis, redis_url: str, lecture_video: Path
) -> None:
    fill(client)
    try:
        with producing("ingest", lecture_video, "--redis", redis_url) as ingest:
            assert ingest.stderr is not None
            line = ingest.stderr.readline()
            ingest.send_signal(signal.SIGINT)
            code, _, _ = finished(ingest)
    finally:
        empty(client)
    assert line.strip() == f"producer: {FULL}"
    assert code == 130


def fill_disk(folder: Path, server: int) -> None:
    """Let Redis write its temporary snapshot to a full device."""
    (folder / f"temp-{server}.rdb").symlink_to("/dev/full")


def test_a_lecture_whose_results_cannot_be_written_is_kept_in_memory_until_they_can(
    lecture_video: Path, published_undisturbed: dict[str, list[Event]], tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "lecturepulse"
    folder.mkdir(parents=True)
    (folder / "worker.log").symlink_to("/dev/full")
    with producing("ingest", lecture_video, "--lecture", "l", "--workers", 1) as ingest:
        eventually(lambda: (folder / "redis.sock").exists() or (folder / "redis.log").exists())
        with private_redis() as url, connect(url) as client:
            server = int(client.info("server")["process_id"])
            fill_disk(folder, server)
            out, err = ingest.communicate(timeout=100)  # it is not the last command to leave, so it saves the results
            assert ingest.returncode == 1
            assert "48 frames sampled: 48 published" in out
            assert f"producer: results cannot be written to {folder}: " in err
            assert "No space left on device" in err
            assert published(client, "l") == published_undisturbed
    with private_redis() as url, connect(url) as client:  # the last command has saved it
        assert int(client.info("server")["process_id"]) != server
        assert published(client, "l") == published_undisturbed


def leave_a_full_disk() -> None:
    """Store something in the private Redis, and leave."""
    with private_redis() as url, connect(url) as client:
        client.set("a", "kept")
        fill_disk(data_folder(), int(client.info("server")["process_id"]))


def test_a_server_that_cannot_write_its_results_keeps_running_with_them() -> None:
    with pytest.raises(ResultsUnsaved, match=r"No space left on device; they stay in .* `producer list`"):
        leave_a_full_disk()
    with private_redis() as url, connect(url) as client:
        assert client.get("a") == b"kept"
    assert b"kept" in (data_folder() / "results.rdb").read_bytes()


def test_a_wall_clock_that_jumps_by_hours_changes_nothing(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = undisturbed(client, 40)
    jumps = itertools.cycle([0.0, 5 * 3600.0, -7 * 3600.0])
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + next(jumps))
    feed = Feed.start(client, NewLecture("l", "talk.mp4", FPS, *SIZE), max_bytes=1)
    fed = threading.Thread(target=feed.run, args=(Slides(40), NEVER))
    fed.start()
    while fed.is_alive():
        with client.pipeline() as pipe:  # in one transaction, since the feed removes its heartbeat once all is fed
            pipe.hget(KEYS.info, "sampled")
            pipe.ttl(KEYS.feeder)
            sampled, seconds = pipe.execute()
        assert int(sampled) == 40 or 0 < seconds <= FEEDER_TTL_S
        work_on(client, KEYS)
    fed.join()
    work_on(client, KEYS)
    assert published(client, "l") == expected
    assert ledger_of(client, KEYS).balances
