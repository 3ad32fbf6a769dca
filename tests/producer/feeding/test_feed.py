"""The feed: what it pushes to Redis, how it waits for room, and how it ends."""

import itertools
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import redis

from producer.feeding import fed_lecture
from producer.feeding.background import BackgroundFeed
from producer.feeding.fed_lecture import LectureGone
from producer.feeding.feed import LIVE_IN_FLIGHT_S, MAX_BYTES, Feed, FeedProgress
from producer.feeding.packing import packed
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.sources.opening import open_source
from producer.feeding.sources.source import Source
from producer.feeding.starting import LectureExists, NewLecture
from producer.presentation.clock import clock
from tests.lectures import ledger_of
from tests.producer.feeding.films import film, number_of
from worker.contract.jobs import job_id
from worker.contract.keys import RUNNING, LectureKeys
from worker.contract.lecture_hash import LectureInfo
from worker.contract.lifetimes import FEEDER_TTL_S, FRAMES_TTL_S, RETENTION_S
from worker.contract.messages import Chunk, Ending, InFlight, LectureChoices, Ledger
from worker.contract.queue import frame_queue

KEYS = LectureKeys("l1")
NEVER = threading.Event()


class Frames(Source):
    """A source of `count` frames of `size` bytes at 2 frames per second. `at` has events to set before a frame."""

    live = False
    shortfall: str | None = None

    def __init__(self, count: int, size: int = 1000, at: dict[int, threading.Event] | None = None) -> None:
        self.count, self.size, self.at = count, size, at or {}

    def frames(self, stop: threading.Event, first: int | None = None) -> Iterator[SampledFrame]:
        for number in range(self.count):
            if number in self.at:
                self.at[number].set()
            if stop.is_set():
                return
            yield SampledFrame(number, number / 2, bytes(self.size))

    def close(self) -> None:
        pass


def started(client: redis.Redis, max_bytes: int = MAX_BYTES, participant: str | None = None) -> Feed:
    return Feed.start(client, NewLecture("l1", "talk.mp4", 2.0, 640, 360, LectureChoices(participant)), max_bytes)


def chunks(client: redis.Redis) -> list[Chunk]:
    """All chunks in Redis, in the order of their numbers."""
    numbers = sorted(map(int, client.hkeys(KEYS.in_flight)))
    assert numbers == list(range(len(numbers)))
    return [Chunk.from_hash(stored(client, KEYS.chunk(number))) for number in numbers]


def stored(client: redis.Redis, key: str) -> dict[bytes, bytes]:
    return cast(dict[bytes, bytes], client.hgetall(key))


def in_flight(client: redis.Redis) -> dict[int, InFlight]:
    entries = stored(client, KEYS.in_flight).items()
    return {int(number): InFlight(**json.loads(value)) for number, value in entries}


def ending(client: redis.Redis) -> Ending | None:
    return chunks(client)[-1].head.ending


def test_a_recording_is_stored_in_redis_as_the_contract_says(client: redis.Redis, tmp_path: Path) -> None:
    lecture = film(tmp_path / "lecture.mp4", pictures=100, fps=4)
    with open_source(str(lecture), 4) as source:
        feed = Feed.start(client, NewLecture("l1", source.label.name, 4, source.width, source.height))
        feed.run(source, NEVER)

    *fed, last = chunks(client)
    stamps = [stamp for chunk in fed for stamp in chunk.head.frames]
    assert [(stamp.frame, stamp.t) for stamp in stamps] == [(n, n / 4) for n in range(100)]
    assert [number_of(jpeg) for chunk in fed for jpeg in chunk.jpegs] == list(range(100))
    assert (last.head.ending, last.jpegs) == (Ending("done"), [])
    assert in_flight(client) == {n: InFlight(len(c.jpegs), c.size) for n, c in enumerate([*fed, last])}
    assert frame_queue(client).job_ids == [job_id("l1", number) for number in range(len(fed) + 1)]

    info = LectureInfo.from_hash(stored(client, KEYS.info))
    assert (info.source, info.status, info.fps, info.width, info.height) == ("lecture.mp4", "running", 4, 320, 240)
    assert (info.sampled, info.published, info.retention) == (100, 0, RETENTION_S)
    assert ledger_of(client, KEYS).balances
    assert feed.progress == FeedProgress(100, 24.75)


def test_everything_that_a_feed_stores_expires_and_pixels_and_heartbeat_are_renewed(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fed_lecture, "RENEW_EVERY_S", 0.0)
    feed = started(client)
    assert 0 < client.ttl(KEYS.feeder) <= FEEDER_TTL_S
    assert client.smembers(RUNNING) == {b"l1"}
    feed.push(next(iter_chunks(16)))
    assert 0 < client.ttl(KEYS.chunk(0)) <= FRAMES_TTL_S
    client.expire(KEYS.chunk(0), FRAMES_TTL_S // 2)
    client.delete(KEYS.feeder, RUNNING)
    feed.renew()
    assert client.smembers(RUNNING) == {b"l1"}
    assert client.ttl(KEYS.chunk(0)) > FRAMES_TTL_S // 2
    assert client.exists(KEYS.feeder)
    feed.finish("done")
    client.expire(KEYS.chunk(0), FRAMES_TTL_S // 2)
    feed.renew()
    assert FRAMES_TTL_S // 2 < client.ttl(KEYS.chunk(0)) <= FRAMES_TTL_S
    assert client.ttl(KEYS.chunk(1)) > FRAMES_TTL_S, "the ending waits longer"
    assert not client.exists(KEYS.feeder)
    assert all(0 < client.ttl(key) <= RETENTION_S for key in client.scan_iter("lecture:*"))


def test_the_heartbeat_goes_on_while_the_source_searches_for_its_first_frame(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    searching, found = threading.Event(), threading.Event()

    class Huge(Frames):
        def frames(self, stop: threading.Event, first: int | None = None) -> Iterator[SampledFrame]:
            searching.set()
            found.wait()
            yield from super().frames(stop, first)

    monkeypatch.setattr(fed_lecture, "RENEW_EVERY_S", 0.0)
    with BackgroundFeed(started(client), Huge(1), threading.Event()) as background:
        searching.wait()
        try:
            client.expire(KEYS.feeder, FEEDER_TTL_S // 2)
            background.check()
            assert FEEDER_TTL_S // 2 < client.ttl(KEYS.feeder) <= FEEDER_TTL_S
            client.delete(KEYS.info)
            background.check()  # only the feed's thread reports that the lecture is gone
        finally:
            found.set()


@pytest.mark.parametrize("participant", ["alice", None])
def test_the_choices_are_stored_for_the_workers_and_a_malformed_id_leaves_nothing(
    client: redis.Redis, participant: str | None
) -> None:
    with pytest.raises(ValueError, match="lecture id 'a/b'"):
        Feed.start(client, NewLecture("a/b", "talk.mp4", 2, 640, 360))
    with pytest.raises(ValueError, match="participant id 'a b'"):
        started(client, participant="a b")
    assert client.dbsize() == 0
    started(client, participant=participant)
    chosen = {"participant": participant, "class_only": False, "retention": RETENTION_S}
    whole: dict[str, object] = {"min_group": 1, "begin": None, "end": None, "ignored": []}
    assert json.loads(client.get(KEYS.state) or b"") == chosen | whole


def test_an_existing_lecture_is_not_touched_and_the_message_helps(client: redis.Redis) -> None:
    started(client).run(Frames(3), NEVER)
    before = {key: client.dump(key) for key in client.scan_iter("lecture:*")}
    with pytest.raises(LectureExists, match=r"lecture l1 exists already: run `producer forget l1`.* --lecture"):
        started(client)
    assert {key: client.dump(key) for key in client.scan_iter("lecture:*")} == before


@pytest.mark.parametrize(("size", "chunk"), [(30_000, 16 * 30_000), (250_000, 16 * 250_000)])
def test_the_budget_is_used_and_only_exceeded_by_a_chunk_that_is_larger(
    client: redis.Redis, size: int, chunk: int
) -> None:
    budget = 1_000_000
    feed = started(client, max_bytes=budget)
    fed = threading.Thread(target=feed.run, args=(Frames(96, size), NEVER))
    fed.start()
    committed = 0
    while fed.is_alive() or client.exists(KEYS.in_flight):
        feeding = fed.is_alive()
        waiting = in_flight(client)
        taken = sum(entry.size for entry in waiting.values())
        assert taken <= max(budget, chunk)
        # Commit in order as a worker does, but only when the feed has to wait for it.
        if waiting and (taken + chunk > budget or not feeding):
            client.delete(KEYS.chunk(committed))
            client.hdel(KEYS.in_flight, str(committed))
            committed += 1
        time.sleep(0.001)
    fed.join()
    assert committed == 6 + 1
    assert int(client.hget(KEYS.info, "sampled") or 0) == 96


def test_without_room_a_feed_waits_and_stop_ends_the_wait(client: redis.Redis) -> None:
    feed = started(client, max_bytes=20_000)
    stop = threading.Event()
    # When the feed asks for the 33rd frame, the first chunk is in flight, and there is no room for the second.
    third = threading.Event()
    fed = threading.Thread(target=feed.run, args=(Frames(1000, at={32: third}), stop))
    fed.start()
    third.wait()
    stop.set()
    fed.join()
    assert [len(chunk.jpegs) for chunk in chunks(client)] == [16, 0]
    assert ending(client) == Ending("stopped", "stopped at 0:00:07")
    assert feed.progress == FeedProgress(16, 7.5)


def test_stop_does_not_push_an_incomplete_chunk(client: redis.Redis) -> None:
    stop = threading.Event()
    started(client).run(Frames(1000, at={150: stop}), stop)
    assert sum(len(chunk.jpegs) for chunk in chunks(client)) == 144
    assert ending(client) == Ending("stopped", "stopped at 0:01:11")


class LiveFrames(Frames):
    """A live source: it does not wait until its frames are read."""

    live = True


def test_a_live_source_never_waits_and_its_oldest_frames_are_dropped_and_counted(client: redis.Redis) -> None:
    feed = started(client, max_bytes=10_000)
    stop = threading.Event()
    fed = threading.Thread(target=feed.run, args=(LiveFrames(1000, at={999: stop}), stop))
    fed.start()
    while fed.is_alive():
        assert ledger_of(client, KEYS).balances
        time.sleep(0.001)
    fed.join()
    *pushed, last = chunks(client)
    numbers = [stamp.frame for chunk in pushed for stamp in chunk.head.frames]
    assert numbers == sorted(set(numbers))
    assert sum(chunk.size for chunk in pushed) <= 10_000
    assert last.head.ending == Ending("stopped", f"stopped at {clock(pushed[-1].head.frames[-1].t)}")
    counted = ledger_of(client, KEYS)
    assert counted.sampled == len(numbers) + counted.dropped
    assert counted.dropped == feed.progress.dropped > 900
    assert counted.reasons == {"dropped:overload": counted.dropped}
    assert counted.in_flight == feed.progress.frames == len(numbers)


def test_a_live_source_loses_nothing_if_there_is_room_and_has_a_bounded_time_in_flight(client: redis.Redis) -> None:
    feed = started(client)
    feed.run(LiveFrames(15), NEVER)
    fed = [stamp.frame for chunk in chunks(client) for stamp in chunk.head.frames]
    assert fed == list(range(15))
    assert all(len(chunk.jpegs) <= 2 for chunk in chunks(client))
    assert (ending(client), ledger_of(client, KEYS).reasons) == (Ending("done"), {})
    client.flushall()
    stop = threading.Event()
    started(client).run(LiveFrames(1000, size=1, at={999: stop}), stop)
    assert ledger_of(client, KEYS).in_flight <= LIVE_IN_FLIGHT_S * 2 + 1
    assert ledger_of(client, KEYS).balances


def test_the_last_frames_of_a_lost_live_source_wait_for_room(client: redis.Redis) -> None:
    feed = started(client, max_bytes=2000)
    source = LiveFrames(4)
    source.shortfall = "given up"
    fed = threading.Thread(target=feed.run, args=(source, NEVER))
    fed.start()
    while fed.is_alive():
        for number in map(int, client.hkeys(KEYS.in_flight)):
            client.hdel(KEYS.in_flight, str(number))
        time.sleep(0.001)
    counted = ledger_of(client, KEYS)
    last = stored(client, KEYS.chunk(int(client.hget(KEYS.info, "chunks") or 0) - 1))
    assert (counted.sampled, Chunk.from_hash(last).head.ending) == (4, Ending("failed", "given up"))
    assert counted.dropped == feed.progress.dropped


def test_a_live_source_that_fails_ends_the_feed_with_its_error(client: redis.Redis) -> None:
    class Failing(LiveFrames):
        def frames(self, stop: threading.Event, first: int | None = None) -> Iterator[SampledFrame]:
            yield SampledFrame(0, 0.0, b"jpeg")
            raise OSError("no processes left")

    with pytest.raises(OSError, match="no processes left"):
        started(client).run(Failing(1), NEVER)


def test_a_live_lecture_that_is_forgotten_ends_its_feed_and_its_reader(client: redis.Redis) -> None:
    class Endless(LiveFrames):
        def frames(self, stop: threading.Event, first: int | None = None) -> Iterator[SampledFrame]:
            for number in itertools.count():
                if stop.wait(0.001):
                    return
                yield SampledFrame(number, number / 2, bytes(1000))

    feed = started(client)
    threading.Timer(0.2, client.delete, [KEYS.info]).start()
    before = threading.active_count()
    with pytest.raises(LectureGone):
        feed.run(Endless(0), NEVER)
    assert threading.active_count() <= before


def test_a_lecture_that_is_forgotten_meanwhile_stays_forgotten(client: redis.Redis) -> None:
    feed = started(client)
    feed.push(next(iter_chunks(16)))
    client.delete(*client.scan_iter("lecture:*"))
    with pytest.raises(LectureGone, match="lecture l1 was forgotten"):
        feed.push(next(iter_chunks(16)))
    assert list(client.scan_iter("lecture:*")) == []
    waiting = started(client, max_bytes=1)
    waiting.push(next(iter_chunks(1)))
    client.delete(KEYS.info)
    with pytest.raises(LectureGone):
        waiting.wait_for_room(1, NEVER)


def iter_chunks(frames: int) -> Iterator[Chunk]:
    return packed(Frames(frames).frames(NEVER), 640, 360)


class JointFrames(Frames):
    """Two recordings of one lecture; the second one ends halfway."""

    def frames(self, stop: threading.Event, first: int | None = None) -> Iterator[SampledFrame]:
        for frame in super().frames(stop):
            yield replace(frame, participant="alice", size=(640, 360))
            if frame.frame < self.count / 2:
                yield replace(frame, participant="bob", size=(320, 240))


def test_a_frame_of_several_recordings_is_one_sampled_frame(client: redis.Redis) -> None:
    feed = started(client)
    feed.run(JointFrames(40), NEVER)
    *fed, _ = chunks(client)
    stamps = [stamp for chunk in fed for stamp in chunk.head.frames]
    assert [stamp.participant for stamp in stamps] == ["alice", "bob"] * 20 + ["alice"] * 20
    assert {(stamp.participant, stamp.size) for stamp in stamps} == {("alice", (640, 360)), ("bob", (320, 240))}
    # Each chunk has at most sixteen pictures: 8 and 8 frames with two pictures each, then 4 with two and 8 with one.
    assert [in_flight(client)[n].frames for n in range(len(fed))] == [8, 8, 12, 12]
    assert ledger_of(client, KEYS) == Ledger(sampled=40, in_flight=40)
    assert feed.progress == FeedProgress(40, 19.5)
