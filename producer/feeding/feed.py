"""Feeding one lecture to the workers: chunks into Redis, never more than a budget of bytes at once."""

import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import NamedTuple, Protocol, cast

import redis
from msgspec import json
from redis.client import Pipeline
from redis.typing import EncodableT, FieldT

from producer.clock import clock
from producer.feeding.packing import packed
from producer.feeding.source import SampledFrame
from worker.contract.keys import LectureKeys, checked_id
from worker.contract.messages import Chunk, ChunkHead, Ending, FinalStatus, InFlight, LectureChoices, encode
from worker.contract.server import FRAMES_TTL_S, RETENTION_S, enqueue_chunk, frame_queue

# Sixteen chunks of the largest kind: enough to keep as many workers busy, small beside what a Redis has.
MAX_BYTES = 64 * 2**20

# Seconds between two looks at what is in flight: far less than a chunk takes, and 20 small commands a second.
POLL_S = 0.05

# The feeder's sign of life outlasts two missed renewals.
FEEDER_TTL_S = 30
RENEW_EVERY_S = 10.0


# What redis-py takes for the fields of a hash; the parameter is invariant, so a narrower mapping needs a cast.
Fields = Mapping[FieldT, EncodableT]


class LectureExists(Exception):
    """The lecture's id is taken; the message says what to do."""


class LectureGone(Exception):
    """Somebody forgot the lecture while it was being fed."""


class Progress(NamedTuple):
    """How far a feed is: frames fed, the media seconds they stand for, and the time of the last one."""

    frames: int
    seconds: float
    t: float


class FrameSource(Protocol):
    """What a feed feeds; `producer.feeding.source.Source` is one."""

    @property
    def shortfall(self) -> str | None: ...

    def frames(self, stop: threading.Event) -> Iterator[SampledFrame]: ...


class Feed:
    """One lecture's feeding, from `start` to `finish`. One thread at a time; `progress` may be read by any.

    Errors of Redis come through as redis.RedisError, after the client's own retries. What is written for a chunk may
    be written again without harm, so a reply lost on the way does not unbalance the ledger.
    """

    def __init__(self, client: redis.Redis, lecture: str, fps: float, width: int, height: int, max_bytes: int) -> None:
        self._client = client
        self._queue = frame_queue(client)
        self._lecture = lecture
        self._keys = LectureKeys(lecture)
        self._fps = fps
        self._width = width
        self._height = height
        self._max_bytes = max_bytes
        self._next_chunk = 0
        self._finished = False
        self._renew_at = time.monotonic() + RENEW_EVERY_S
        self.progress = Progress(0, 0.0, 0.0)

    @classmethod
    def start(
        cls,
        client: redis.Redis,
        lecture: str,
        source_name: str,
        fps: float,
        width: int,
        height: int,
        participant: str | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> "Feed":
        """Create the lecture in Redis. Of `source_name` only the file's name is kept.

        Raises LectureExists if there is one of that id, ValueError if an id is not well formed.
        """
        if participant is not None:
            checked_id(participant, "participant id")
        # A name need not be text; what is not UTF-8 in it is replaced.
        name = os.fsencode(PurePath(source_name).name).decode(errors="replace")
        feed = cls(client, lecture, fps, width, height, max_bytes)
        client.transaction(lambda pipe: feed._create(pipe, name, participant), feed._keys.info)
        return feed

    def run(self, source: FrameSource, stop: threading.Event) -> None:
        """Feed all of `source`, then finish the lecture: done, failed if the source fell short, or stopped.

        When `stop` is set, frames in hand are still fed if the budget has room for them.
        """
        for chunk in packed(self._attended(source.frames(stop)), self._width, self._height):
            if not self.wait_for_room(chunk.size, stop):
                break
            self.push(chunk)
        if stop.is_set():
            self.finish("stopped", f"stopped at {clock(self.progress.t)}")
        elif source.shortfall is not None:
            self.finish("failed", source.shortfall)
        else:
            self.finish("done")

    def wait_for_room(self, size: int, stop: threading.Event) -> bool:
        """Wait until `size` more bytes in flight stay within the budget; False if `stop` is set before.

        What is larger than the whole budget waits until nothing is in flight. Raises LectureGone.
        """
        while not self._has_room(size):
            if stop.wait(POLL_S):
                return False
            self.renew()
        return True

    def push(self, chunk: Chunk) -> None:
        """Hand the next chunk to the workers. Raises LectureGone."""
        number = self._next_chunk
        key = self._keys.chunk(number)
        # The pixels go first and unwatched: an unrelated change of the lecture must not make them be sent again.
        # If nothing follows, they expire.
        with self._client.pipeline() as pipe:
            pipe.hset(key, mapping=cast(Fields, chunk.to_hash()))
            pipe.expire(key, FRAMES_TTL_S if chunk.jpegs else RETENTION_S)  # the ending has no pixels, and must arrive
            pipe.execute()
        try:
            self._client.transaction(lambda pipe: self._account(pipe, number, chunk), self._keys.info)
        except LectureGone:
            self._client.delete(key)
            raise
        enqueue_chunk(self._queue, self._lecture, number)
        self._next_chunk += 1
        if chunk.head.frames:
            last = chunk.head.frames[-1]
            frames = self.progress.frames + len(chunk.head.frames)
            self.progress = Progress(frames, frames / self._fps, last.t)

    def finish(self, status: FinalStatus, reason: str | None = None) -> None:
        """Say that nothing more comes: the workers end the lecture so when they have done what is in flight."""
        self.push(Chunk(ChunkHead([], self._width, self._height, Ending(status, reason)), []))
        self._client.delete(self._keys.feeder)
        self._finished = True

    def renew(self) -> None:
        """Give what is in flight, and the sign that it is being fed, a new lease of life, if it is time to.

        To be called often, also after `finish` while somebody waits for the end. Raises LectureGone.
        """
        if time.monotonic() < self._renew_at:
            return
        self._renew_at = time.monotonic() + RENEW_EVERY_S
        self._must_exist(self._client.exists(self._keys.info))
        in_flight = cast(dict[bytes, bytes], self._client.hgetall(self._keys.in_flight))
        with self._client.pipeline(transaction=False) as pipe:
            for number, chunk in in_flight.items():
                if json.decode(chunk, type=InFlight).size:
                    pipe.expire(self._keys.chunk(int(number)), FRAMES_TTL_S)
            if not self._finished:
                pipe.set(self._keys.feeder, 1, ex=FEEDER_TTL_S)
            pipe.execute()

    def _attended(self, frames: Iterator[SampledFrame]) -> Iterator[SampledFrame]:
        for frame in frames:
            self.renew()
            yield frame

    def _has_room(self, size: int) -> bool:
        with self._client.pipeline(transaction=False) as pipe:
            pipe.exists(self._keys.info)
            pipe.hvals(self._keys.in_flight)
            exists, in_flight = pipe.execute()
        self._must_exist(exists)
        taken = sum(json.decode(value, type=InFlight).size for value in in_flight)
        return not in_flight or taken + size <= self._max_bytes

    def _create(self, pipe: Pipeline, source: str, participant: str | None) -> None:
        if pipe.exists(self._keys.info):
            raise LectureExists(
                f"lecture {self._lecture} exists already: run `producer forget {self._lecture}` first, "
                "or choose another id with --lecture"
            )
        pipe.multi()
        fields = {
            "source": source,
            "status": "running",
            "fps": self._fps,
            "width": self._width,
            "height": self._height,
            "started": time.time(),
            "retention": RETENTION_S,
            **dict.fromkeys(("sampled", "published", "dropped", "failed"), 0),
        }
        pipe.hset(self._keys.info, mapping=cast(Fields, fields))
        pipe.expire(self._keys.info, RETENTION_S)
        pipe.set(self._keys.state, encode(LectureChoices(participant)), ex=RETENTION_S)
        pipe.set(self._keys.feeder, 1, ex=FEEDER_TTL_S)

    def _account(self, pipe: Pipeline, number: int, chunk: Chunk) -> None:
        self._must_exist(pipe.exists(self._keys.info))
        pipe.multi()
        in_flight = InFlight(len(chunk.head.frames), chunk.size)
        pipe.hset(self._keys.in_flight, str(number), encode(in_flight))
        pipe.expire(self._keys.in_flight, RETENTION_S)
        # The total and not an increment, which a repeated transaction would count twice.
        pipe.hset(self._keys.info, "sampled", self.progress.frames + in_flight.frames)
        pipe.set(self._keys.feeder, 1, ex=FEEDER_TTL_S)

    def _must_exist(self, exists: int) -> None:
        if not exists:
            raise LectureGone(f"lecture {self._lecture} was forgotten while it was being fed")
