"""Redis crashes and loses its latest writes: it starts again with an older copy of its append-only file."""

import itertools
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from producer.feeding import fed_lecture
from producer.feeding.background import BackgroundFeed
from producer.feeding.fed_lecture import FedLecture, LectureGone
from producer.feeding.feed import Feed
from producer.feeding.resuming import read_interrupted
from producer.feeding.starting import NewLecture
from tests.faults.commands import check_ingest_and_watch
from tests.faults.durable import DurableRedis, durable_redis
from tests.faults.slides import FPS, NEVER, SIZE, Camera, Slides, begin, published, undisturbed
from tests.lectures import ledger_of
from tests.processes import eventually, workers
from tests.producer.committing import work_on
from worker.contract.connection import RetryWhileAway, connect
from worker.contract.keys import RUNNING, LectureKeys
from worker.contract.messages import Event

KEYS = LectureKeys("l")
FRAMES = 72


@pytest.fixture
def server() -> Iterator[DurableRedis]:
    with durable_redis() as server:
        yield server


@pytest.fixture
def client(server: DurableRedis) -> Iterator[redis.Redis]:
    with connect(server.url, RetryWhileAway(60)) as client:
        yield client


def check(client: redis.Redis, expected: dict[str, list[Event]]) -> None:
    """The lecture ends as if nothing had been lost."""
    work_on(client, KEYS)
    assert published(client, "l") == expected
    ledger = ledger_of(client, KEYS)
    assert (ledger.balances, ledger.sampled, ledger.in_flight) == (True, FRAMES, 0)


def chunks_at(number: int) -> int:
    """The chunks of 16 frames that are fed when this frame is read: packing reads one frame ahead."""
    return max(0, number - 2) // 16


@pytest.mark.parametrize(("remembered", "lost"), [(0, 1), (0, 40), (17, 18), (20, 40), (35, 71), (50, 51)])
@pytest.mark.parametrize("committed", ["nothing", "before", "after", "both"])
def test_a_recording_is_fed_again_from_what_redis_still_has(
    server: DurableRedis,
    client: redis.Redis,
    remembered: int,
    lost: int,
    committed: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = undisturbed(client, FRAMES)
    happened = set()

    def at(number: int) -> None:
        assert ledger_of(client, KEYS).balances
        if number == remembered and "remembered" not in happened:
            happened.add("remembered")
            if committed in ("before", "both"):
                work_on(client, KEYS)
            server.remember()
        if number == lost and "lost" not in happened:
            happened.add("lost")
            if committed in ("after", "both"):
                work_on(client, KEYS)
            server.lose_since()

    feed = begin(client, "l")
    feed.run(Slides(FRAMES, at=at), NEVER)
    assert feed.progress.frames == FRAMES
    check(client, expected)
    said = capsys.readouterr().err.splitlines()
    frames_lost = 16 * (chunks_at(lost) - chunks_at(remembered))
    assert len(said) == bool(frames_lost)
    if said:
        assert said[0].startswith(f"producer: Redis has lost {frames_lost} frames that were fed to lecture l; feeding")


def test_redis_may_lose_again_and_again(server: DurableRedis, client: redis.Redis) -> None:
    expected = undisturbed(client, FRAMES)
    times = itertools.count()

    def at(number: int) -> None:
        if number == 20 and next(times) < 3:
            server.remember()
        elif number == 40 and next(times) < 6:
            server.lose_since()

    begin(client, "l").run(Slides(FRAMES, at=at), NEVER)
    check(client, expected)


@pytest.mark.parametrize("remembered", [0, 20, 71])
def test_after_everything_is_fed_a_loss_is_noticed_while_the_feed_waits_for_the_end(
    server: DurableRedis, client: redis.Redis, remembered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fed_lecture, "RENEW_EVERY_S", 0.0)
    expected = undisturbed(client, FRAMES)
    copied = threading.Event()

    def at(number: int) -> None:
        if number == remembered and not copied.is_set():
            server.remember()
            copied.set()

    with BackgroundFeed(begin(client, "l"), Slides(FRAMES, at=at), threading.Event()) as background:
        eventually(lambda: b'{"frames":0,"size":0}' in client.hvals(KEYS.in_flight))
        work_on(client, KEYS)
        assert client.hget(KEYS.info, "status") == b"done"
        server.lose_since()

        def over() -> bool:
            background.check()
            work_on(client, KEYS)
            return client.hget(KEYS.info, "status") == b"done"

        eventually(over)
    check(client, expected)


def test_a_chunk_whose_pixels_expired_in_the_older_copy_is_fed_again(server: DurableRedis, client: redis.Redis) -> None:
    expected = undisturbed(client, FRAMES)
    happened = set()

    def at(number: int) -> None:
        if number == 49 and "remembered" not in happened:  # three chunks are fed
            happened.add("remembered")
            server.remember()
        if number == 65 and "lost" not in happened:
            happened.add("lost")
            server.lose_since()
            client.delete(KEYS.chunk(1))

    begin(client, "l").run(Slides(FRAMES, at=at), NEVER)
    check(client, expected)


def test_pixels_that_are_lost_before_their_chunk_is_counted_are_stored_again(
    server: DurableRedis, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = undisturbed(client, FRAMES)
    store = FedLecture._store_pixels
    stored: list[int] = []

    def losing(fed: FedLecture, *what: Any) -> None:
        server.remember()
        store(fed, *what)
        stored.append(what[0])
        if stored.count(2) == 1:
            server.lose_since()

    monkeypatch.setattr(FedLecture, "_store_pixels", losing)
    begin(client, "l").run(Slides(FRAMES), NEVER)
    assert stored.count(2) == 2
    check(client, expected)


def test_a_feed_that_has_resumed_a_lecture_does_so_again_if_redis_has_lost_it(
    server: DurableRedis, client: redis.Redis
) -> None:
    expected = undisturbed(client, FRAMES)
    stop = threading.Event()
    begin(client, "l").run(Slides(FRAMES, at=lambda number: stop.set() if number == 20 else None), stop)
    server.remember()  # its end is in flight
    work_on(client, KEYS)
    assert client.hget(KEYS.info, "status") == b"stopped"
    times = itertools.count()

    def at(number: int) -> None:
        if number == 40 and next(times) == 0:
            server.lose_since()

    interrupted = read_interrupted(client, "l")
    Feed.resume(client, "l", interrupted).run(Slides(FRAMES, first=interrupted.frames, at=at), NEVER)
    check(client, expected)


def test_a_lecture_that_redis_has_lost_as_a_whole_ends_the_feed(server: DurableRedis, client: redis.Redis) -> None:
    server.remember()

    def at(number: int) -> None:
        if number == 20:
            server.lose_since()

    with pytest.raises(LectureGone, match="lecture l was forgotten while it was being fed, or Redis has lost it"):
        begin(client, "l").run(Slides(FRAMES, at=at), NEVER)
    assert not client.exists(KEYS.info)


@pytest.mark.parametrize("finished", [False, True])
def test_frames_of_a_live_source_that_redis_has_lost_are_dropped_and_counted(
    server: DurableRedis, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, finished: bool
) -> None:
    monkeypatch.setattr(fed_lecture, "RENEW_EVERY_S", 0.0)
    camera, stop = Camera(), threading.Event()
    feed = Feed.start(client, NewLecture("l", "camera", FPS, *SIZE))
    with BackgroundFeed(feed, camera, stop) as background:

        def fed(frames: int) -> bool:
            """Whether so many frames are fed; a worker commits them meanwhile."""
            background.check()
            work_on(client, KEYS)
            assert ledger_of(client, KEYS).balances
            return feed.progress.frames >= frames

        eventually(partial(fed, 20))
        server.remember()
        eventually(partial(fed, feed.progress.frames + 30))  # dropped ones cannot be lost
        if finished:
            stop.set()
            eventually(lambda: b'{"frames":0,"size":0}' in client.hvals(KEYS.in_flight))
        server.lose_since()
        eventually(lambda: fed(0) and ledger_of(client, KEYS).reasons.get("dropped:redis_lost"))
        eventually(partial(fed, 0 if finished else feed.progress.frames + 20))
        stop.set()
        eventually(lambda: fed(0) and client.hget(KEYS.info, "status") == b"stopped")
        ledger = ledger_of(client, KEYS)
    assert (ledger.balances, ledger.in_flight, ledger.sampled) == (True, 0, camera.taken)
    assert ledger.reasons["dropped:redis_lost"] + ledger.reasons.get("dropped:overload", 0) == ledger.dropped
    assert ledger.dropped == feed.progress.dropped
    frames = [event.frame for event in published(client, "l")["class"] if hasattr(event, "frame")]
    assert frames == sorted(set(frames))
    assert len(frames) == ledger.published


def test_commands_print_every_event_once_although_redis_loses_published_ones(
    lecture_video: Path, published_undisturbed: dict[str, list[Event]]
) -> None:
    with durable_redis() as server, workers(server.url, 1), connect(server.url, RetryWhileAway(60)) as client:
        faults: dict[int, Callable[[], object]] = {1: server.remember, 17: server.lose_since}
        check_ingest_and_watch(client, server.url, lecture_video, faults, published_undisturbed)
        eventually(lambda: not client.sismember(RUNNING, "l"))  # a worker removes it after the end is published
