"""A lecture in Redis while it is fed: its lease, its chunks, and the producer's part of its ledger."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, cast
from uuid import uuid4

import redis
from msgspec import json
from redis.client import Pipeline

from producer.feeding.resuming import Interrupted, take_over
from producer.feeding.starting import NewLecture, create
from producer.metrics.counters import IN_FLIGHT_BYTES
from producer.saying import say
from worker.contract.connection import room_for_feeding
from worker.contract.keys import RUNNING, LectureKeys, checked_id
from worker.contract.lecture_hash import LectureFields, as_hash
from worker.contract.lifetimes import FEEDER_TTL_S, FRAMES_TTL_S
from worker.contract.messages import Chunk, InFlight, encode
from worker.contract.queue import enqueue_chunk, frame_queue
from worker.contract.reasons import dropped as dropped_for

# Seconds between two polls of Redis. They grow from the first to the longest, so that many lectures that wait for the
# same few workers do not keep Redis busy.
POLL_S = 0.05
LONGEST_POLL_S = 0.5

# Seconds between two heartbeats. A heartbeat lasts for FEEDER_TTL_S, so two may be missed.
RENEW_EVERY_S = 10.0


class LectureGone(Exception):
    """The lecture was taken from its feed: forgotten, ended, or resumed by another; the message says which."""


def pauses() -> Iterator[float]:
    """The seconds of each pause while polling Redis, from POLL_S up to LONGEST_POLL_S."""
    pause = POLL_S
    while True:
        yield pause
        pause = min(pause * 1.5, LONGEST_POLL_S)


class FedLecture:
    """One lecture in Redis, held by one feed from `start` or `resume` to `release`.

    The lease is a token in the lecture's hash, which every transaction checks. If the answer to a transaction was lost,
    the hash shows whether Redis carried it out. So every write may be repeated, and the ledger still balances. The
    token also stops a feed that was suspended while another feed took over its lecture.
    Errors of Redis come through as redis.RedisError, after the client's own retries.
    """

    def __init__(self, client: redis.Redis, lecture: str, retention: int) -> None:
        self._client = client
        self._queue = frame_queue(client)
        self._lecture = lecture
        self.keys = LectureKeys(lecture)
        self._retention = retention
        self._token = uuid4().hex.encode()
        self._renew_at = math.inf  # until the lecture is held
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
        fed = cls(client, lecture, interrupted.retention)
        keys = fed.keys
        fed._hold(lambda pipe: take_over(pipe, lecture, interrupted, fed._token), keys.info, keys.state, keys.feeder)
        return fed

    def push(self, number: int, chunk: Chunk, sampled: int) -> None:
        """Store a chunk and enqueue its job. `sampled` is the number of frames sampled until now, this chunk included.

        Waits while Redis is full. Raises LectureGone.
        """
        self._when_not_full(lambda: self._store(number, chunk, sampled))
        self._when_not_full(lambda: enqueue_chunk(self._queue, self._lecture, number))

    def count_dropped(self, sampled: int, dropped: int) -> None:
        """Set the ledger's counts of sampled and dropped frames. Waits while Redis is full. Raises LectureGone."""

        def account(pipe: Pipeline) -> None:
            self._must_be_held(pipe)
            pipe.multi()
            fields: LectureFields = {"sampled": sampled, "dropped": dropped}
            pipe.hset(self.keys.info, mapping={**as_hash(fields), dropped_for("overload"): dropped})

        self._when_not_full(lambda: self._client.transaction(account, self.keys.info))

    def in_flight(self) -> dict[int, InFlight]:
        """The chunks in flight by number. Raises LectureGone."""
        with self._client.pipeline(transaction=False) as pipe:
            pipe.exists(self.keys.info)
            pipe.hgetall(self.keys.in_flight)
            exists, stored = pipe.execute()
        self._must_exist(exists)
        chunks = {int(number): json.decode(value, type=InFlight) for number, value in stored.items()}
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

        Raises LectureGone.
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

    def release(self) -> None:
        """Remove the heartbeat: everything is fed, and workers end the lecture."""
        self._client.delete(self.keys.feeder)
        self._released = True

    def _hold(self, transaction: Callable[[Pipeline], None], *watched: str) -> None:
        self._when_not_full(lambda: self._client.transaction(transaction, *watched))
        self._renew_at = time.monotonic() + RENEW_EVERY_S
        self._list_as_running()

    def _store(self, number: int, chunk: Chunk, sampled: int) -> None:
        key = self.keys.chunk(number)
        # The pixels are stored first and without WATCH, so that an unrelated change of the lecture does not send them
        # again. If the next transaction fails, they expire. A killed feed may have left keys with this number.
        with self._client.pipeline() as pipe:
            pipe.delete(key, self.keys.outcome(number))
            pipe.hset(key, mapping=cast(Mapping[Any, Any], chunk.to_hash()))
            # An ending has no pixels, and must arrive.
            pipe.expire(key, FRAMES_TTL_S if chunk.jpegs else self._retention)
            pipe.execute()
        try:
            self._client.transaction(lambda pipe: self._account(pipe, number, chunk, sampled), self.keys.info)
        except (LectureGone, redis.OutOfMemoryError):
            self._client.delete(key)
            raise

    def _account(self, pipe: Pipeline, number: int, chunk: Chunk, sampled: int) -> None:
        token, chunks = cast(list[bytes | None], pipe.hmget(self.keys.info, "feed", "chunks"))
        if token == self._token and int(chunks or 0) == number + 1:
            return  # Redis has done it already, and only the answer was lost
        self._must_be_held(pipe)
        if int(chunks or 0) != number:
            raise LectureGone(
                f"Redis has lost what was last fed to lecture {self._lecture} (is its append-only file on, and always "
                "synced?); --resume continues with what is left, once workers have ended it"
            )
        in_flight = InFlight(chunk.head.frame_count, chunk.size)
        # A total and not an increment: a repeated transaction would count an increment twice.
        fields: LectureFields = {"sampled": sampled, "chunks": number + 1}
        pipe.multi()
        pipe.hset(self.keys.in_flight, str(number), encode(in_flight))
        pipe.expire(self.keys.in_flight, self._retention)
        pipe.hset(self.keys.info, mapping=as_hash(fields))
        pipe.set(self.keys.feeder, 1, ex=FEEDER_TTL_S)

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
        """Raise LectureGone unless the lecture exists, runs, and has this feed's token."""
        status, token = cast(list[bytes | None], client.hmget(self.keys.info, "status", "feed"))
        self._must_exist(status is not None)
        if token != self._token:
            raise LectureGone(f"lecture {self._lecture} is fed by another producer, which has resumed it")
        if status != b"running" and not self._released:
            raise LectureGone(
                f"lecture {self._lecture} was ended because its producer did not answer; --resume continues it"
            )

    def _must_exist(self, exists: int) -> None:
        if not exists:
            raise LectureGone(f"lecture {self._lecture} was forgotten while it was being fed")
