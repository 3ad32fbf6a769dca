"""A lecture in Redis while it is fed: its token and heartbeat, its chunks, and the producer's part of its ledger."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, cast
from uuid import uuid4

import redis
from msgspec import Struct, structs
from redis.client import Pipeline

from producer.feeding.resuming import Interrupted, LectureNotResumable, continue_from, read_stored, take_over
from producer.feeding.starting import NewLecture, create
from producer.metrics.counters import IN_FLIGHT_BYTES
from producer.saying import say
from worker.contract.connection import room_for_feeding
from worker.contract.keys import RUNNING, LectureKeys, checked_id
from worker.contract.lecture_hash import LectureFields, as_hash
from worker.contract.lifetimes import FEEDER_TTL_S, FRAMES_TTL_S
from worker.contract.messages import Chunk, InFlight, decode, encode
from worker.contract.queue import enqueue_chunk, frame_queue
from worker.contract.reasons import DropReason
from worker.contract.reasons import dropped as dropped_for

# Seconds between two polls of Redis. They grow from the first to the longest, so that many lectures that wait for the
# same few workers do not keep Redis busy.
POLL_S = 0.05
LONGEST_POLL_S = 0.5

# Seconds between two heartbeats. A heartbeat lasts for FEEDER_TTL_S, so two may be missed.
RENEW_EVERY_S = 10.0


class LectureGone(Exception):
    """The lecture was taken from its feed: forgotten, ended, or resumed by another; the message says which."""


class FramesLost(Exception):
    """Redis crashed and has lost writes of this feed. `FedLecture.recover` continues from what Redis has."""


class Fed(Struct, frozen=True):
    """What a feed has written: the number of chunks and of their frames, and the frames dropped for each reason."""

    chunks: int = 0
    frames: int = 0
    dropped: Mapping[DropReason, int] = {}

    @property
    def all_dropped(self) -> int:
        return sum(self.dropped.values())

    @property
    def sampled(self) -> int:
        return self.frames + self.all_dropped

    def and_dropped(self, reason: DropReason, frames: int) -> "Fed":
        return structs.replace(self, dropped={**self.dropped, reason: self.dropped.get(reason, 0) + frames})

    def counts(self) -> LectureFields:
        """The fields of the lecture's hash. Totals and not increments, because a write may be repeated."""
        fields: LectureFields = {"sampled": self.sampled, "chunks": self.chunks}
        if self.dropped:
            reasons = {dropped_for(reason): frames for reason, frames in self.dropped.items()}
            fields = cast(LectureFields, {**fields, "dropped": self.all_dropped, **reasons})
        return fields


def pauses() -> Iterator[float]:
    """The seconds of each pause while polling Redis, from POLL_S up to LONGEST_POLL_S."""
    pause = POLL_S
    while True:
        yield pause
        pause = min(pause * 1.5, LONGEST_POLL_S)


class FedLecture:
    """One lecture in Redis, held by one feed from `start` or `resume` to `release`.

    The feed has a token in the lecture's hash, and every transaction checks it. If the answer to a transaction was
    lost, the hash shows whether Redis carried it out. So every write may be repeated, and the ledger still balances.
    The token also stops a feed that was suspended while another feed took over its lecture.
    If Redis crashed and has lost the latest writes, the counts in the hash show it. Every method that reads or changes
    them then raises FramesLost until `recover` is called.
    Errors of Redis come through as redis.RedisError, after the client's own retries.
    """

    def __init__(self, client: redis.Redis, lecture: str, retention: int) -> None:
        self._client = client
        self._queue = frame_queue(client)
        self._lecture = lecture
        self.keys = LectureKeys(lecture)
        self._retention = retention
        self._token = uuid4().hex.encode()
        self._replaced_token: bytes | None = None
        self.fed = Fed()
        self._renew_at = math.inf  # until the lecture is held
        self._beat_at = 0.0
        self._released = False
        self._said_full = False

    @classmethod
    def start(cls, client: redis.Redis, new: NewLecture) -> "FedLecture":
        """Create the lecture. Raises LectureExists, TooManyLectures, and ValueError if an id is not well formed."""
        if new.choices.participant is not None:
            checked_id(new.choices.participant, "participant id")
        fed = cls(client, new.lecture, new.choices.retention)
        fed._hold(lambda pipe: create(pipe, new, fed._token), fed.keys.info)
        return fed

    @classmethod
    def resume(cls, client: redis.Redis, lecture: str, interrupted: Interrupted) -> "FedLecture":
        """Take over a lecture that was interrupted. Raises LectureNotResumable if it has changed since it was read."""
        fed = cls(client, lecture, interrupted.choices.retention)
        fed._replaced_token = interrupted.token
        fed.fed = Fed(interrupted.next_chunk, interrupted.frames)
        keys = fed.keys
        fed._hold(lambda pipe: take_over(pipe, lecture, interrupted, fed._token), keys.info, keys.state, keys.feeder)
        return fed

    def push(self, chunk: Chunk) -> None:
        """Store the next chunk and enqueue its job. Waits while Redis is full. Raises LectureGone and FramesLost."""
        fed = structs.replace(self.fed, chunks=self.fed.chunks + 1, frames=self.fed.frames + chunk.head.frame_count)
        self._when_not_full(lambda: self._store(chunk, fed))
        number, self.fed = self.fed.chunks, fed
        # Ignored here, because the next call raises it again. If Redis still has the chunk, workers enqueue it.
        with suppress(FramesLost):
            self._when_not_full(lambda: enqueue_chunk(self._queue, self._lecture, number))

    def drop(self, reason: DropReason, frames: int) -> None:
        """Count frames as sampled and dropped. Waits while Redis is full. Raises LectureGone and FramesLost."""
        fed = self.fed.and_dropped(reason, frames)

        def account(pipe: Pipeline) -> None:
            self._must_be_held(pipe)
            if int(pipe.hget(self.keys.info, "chunks") or 0) != fed.chunks:
                raise FramesLost
            pipe.multi()
            pipe.hset(self.keys.info, mapping=as_hash(fed.counts()))

        self._when_not_full(lambda: self._client.transaction(account, self.keys.info))
        self.fed = fed

    def recover(self, live: bool) -> int:
        """After FramesLost: continue from what Redis has of the lecture. Returns the number of lost frames.

        They must be fed again. If the source is `live`, they count as dropped instead. Raises LectureGone.
        """
        before, self._renew_at = self.fed, math.inf
        self._hold(
            lambda pipe: self._take_back(pipe, before, live), self.keys.info, self.keys.state, self.keys.in_flight
        )
        self._released = False
        lost = before.frames - self.fed.frames
        if lost:
            now = "they count as dropped" if live else "feeding them again"
            say(
                f"Redis has lost {lost} frames that were fed to lecture {self._lecture}; {now} (is its append-only "
                "file on, and always synced?)"
            )
        return lost

    def in_flight(self) -> dict[int, InFlight]:
        """The chunks in flight by number. Raises LectureGone and FramesLost."""
        with self._client.pipeline(transaction=False) as pipe:
            pipe.hmget(self.keys.info, "feed", "chunks", "sampled")
            pipe.hgetall(self.keys.in_flight)
            (token, chunks, sampled), stored = pipe.execute()
        self._must_exist(token is not None)
        if token == self._replaced_token or (
            token == self._token and (int(chunks), int(sampled)) != (self.fed.chunks, self.fed.sampled)
        ):
            raise FramesLost
        chunks = {int(number): decode(value, InFlight) for number, value in stored.items()}
        IN_FLIGHT_BYTES.set(sum(chunk.size for chunk in chunks.values()))
        return chunks

    def free_memory(self, wanted: float) -> float:
        """Bytes that Redis still has room for. If they are fewer than `wanted`, one message says that Redis is full."""
        memory = room_for_feeding(self._client)
        if memory < wanted or memory <= 0:
            self._say_full()
        return memory

    def renew(self) -> None:
        """Renew the heartbeat and the pixels in flight, if it is time to. Call it often, also after `release`.

        Raises LectureGone and FramesLost.
        """
        if time.monotonic() < self._renew_at:
            return
        self._renew_at = time.monotonic() + RENEW_EVERY_S
        self._must_be_held(self._client)
        chunks = self.in_flight()
        with self._client.pipeline(transaction=False) as pipe:
            for number, chunk in chunks.items():
                if chunk.size:
                    pipe.expire(self.keys.chunk(number), FRAMES_TTL_S)
            pipe.expire(self.keys.feeder, FEEDER_TTL_S)  # a full Redis refuses SET, but not this
            *_, renewed = pipe.execute()
        if not self._released:
            if not renewed:
                with suppress(redis.OutOfMemoryError):
                    self._client.set(self.keys.feeder, 1, ex=FEEDER_TTL_S)
            self._list_as_running()

    def beat(self) -> None:
        """Keep the heartbeat of a held lecture while the feed's thread waits for its source.

        Any thread may call it, often. Only the feed's own thread notices that another feed has taken the lecture over.
        """
        now = time.monotonic()
        if self._renew_at < math.inf and not self._released and now >= self._beat_at:
            self._beat_at = now + RENEW_EVERY_S
            self._client.expire(self.keys.feeder, FEEDER_TTL_S)

    def release(self) -> None:
        """Remove the heartbeat: everything is fed, and workers end the lecture."""
        self._client.delete(self.keys.feeder)
        self._released = True

    def _hold(self, transaction: Callable[[Pipeline], None], *watched: str) -> None:
        self._when_not_full(lambda: self._client.transaction(transaction, *watched))
        self._renew_at = time.monotonic() + RENEW_EVERY_S
        self._list_as_running()

    def _store(self, chunk: Chunk, fed: Fed) -> None:
        number, accounted = fed.chunks - 1, False

        def account(pipe: Pipeline) -> None:
            nonlocal accounted
            accounted = self._account(pipe, chunk, fed)

        try:
            while not accounted:  # a Redis that crashes between the two steps may have lost the first
                self._store_pixels(number, chunk)
                self._client.transaction(account, self.keys.info)
        except (LectureGone, FramesLost, redis.OutOfMemoryError):
            # A chunk in flight is that of another feed, which has resumed the lecture.
            if not self._client.hexists(self.keys.in_flight, str(number)):
                self._client.delete(self.keys.chunk(number))
            raise

    def _store_pixels(self, number: int, chunk: Chunk) -> None:
        # The pixels are stored first and without WATCH, so that an unrelated change of the lecture does not send them
        # again. If the next transaction fails, they expire. A killed feed may have left keys with this number.
        key = self.keys.chunk(number)
        with self._client.pipeline() as pipe:
            pipe.delete(key, self.keys.outcome(number))
            pipe.hset(key, mapping=cast(Mapping[Any, Any], chunk.to_hash()))
            # An ending has no pixels, and must arrive.
            pipe.expire(key, FRAMES_TTL_S if chunk.jpegs else self._retention)
            pipe.execute()

    def _account(self, pipe: Pipeline, chunk: Chunk, fed: Fed) -> bool:
        """Count a chunk as fed. False if its pixels are not there."""
        number = fed.chunks - 1
        token, chunks = cast(list[bytes | None], pipe.hmget(self.keys.info, "feed", "chunks"))
        if token == self._token and int(chunks or 0) == fed.chunks:
            return True  # Redis has done it already, and only the answer was lost
        self._must_be_held(pipe)
        if int(chunks or 0) != number:
            raise FramesLost
        if not pipe.exists(self.keys.chunk(number)):
            return False
        pipe.multi()
        pipe.hset(self.keys.in_flight, str(number), encode(InFlight(chunk.head.frame_count, chunk.size)))
        pipe.expire(self.keys.in_flight, self._retention)
        pipe.hset(self.keys.info, mapping=as_hash(fed.counts()))
        pipe.set(self.keys.feeder, 1, ex=FEEDER_TTL_S)
        return True

    def _take_back(self, pipe: Pipeline, before: Fed, live: bool) -> None:
        """Continue from what Redis has of the lecture. `before` is what was fed before the loss."""
        fields = cast(dict[bytes, bytes], pipe.hgetall(self.keys.info))
        self._must_exist(len(fields))
        if fields.get(b"feed") != self._replaced_token:
            self._must_be_held(pipe)
        try:
            stored = read_stored(pipe, self._lecture, fields)
        except LectureNotResumable as why:
            raise LectureGone(str(why)) from None
        fed = structs.replace(before, chunks=stored.next_chunk, frames=stored.frames)
        if live and before.frames > fed.frames:
            fed = fed.and_dropped("redis_lost", before.frames - fed.frames)
        continue_from(pipe, self._lecture, stored, {**fed.counts(), "feed": self._token})
        self.fed = fed

    def _when_not_full(self, write: Callable[[], object]) -> None:
        """Write to Redis. While it is full, wait for the workers to make room, and try again."""
        for pause in pauses():
            try:
                write()
                return
            except redis.OutOfMemoryError:
                self._say_full()
            time.sleep(pause)
            self.renew()

    def _say_full(self) -> None:
        if not self._said_full:
            self._said_full = True
            say("Redis is full (its maxmemory); waiting until workers, `producer forget` or more memory make room")

    def _list_as_running(self) -> None:
        with suppress(redis.OutOfMemoryError):  # the next renewal does it
            self._client.sadd(RUNNING, self._lecture)

    def _must_be_held(self, client: redis.Redis) -> None:
        """Raise LectureGone unless the lecture exists, runs, and has this feed's token.

        Raises FramesLost if Redis has lost that this feed took the lecture over.
        """
        status, token = cast(list[bytes | None], client.hmget(self.keys.info, "status", "feed"))
        self._must_exist(status is not None)
        if token is not None and token == self._replaced_token:
            raise FramesLost
        if token != self._token:
            raise LectureGone(f"lecture {self._lecture} is fed by another producer, which has resumed it")
        if status != b"running" and not self._released:
            raise LectureGone(
                f"lecture {self._lecture} was ended because its producer did not answer; --resume continues it"
            )

    def _must_exist(self, exists: int) -> None:
        if not exists:
            raise LectureGone(f"lecture {self._lecture} was forgotten while it was being fed, or Redis has lost it")
