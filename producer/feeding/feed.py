"""Feeding one lecture to the workers: chunks into Redis, never more than a budget of bytes at once."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import NamedTuple, Protocol, TypeVar, cast
from uuid import uuid4

import redis
from msgspec import json
from redis.client import Pipeline
from redis.typing import EncodableT, FieldT

from producer.feeding.backlog import Backlog
from producer.feeding.frame import SampledFrame
from producer.feeding.packing import packed
from producer.feeding.resuming import Interrupted, LectureNotResumable, ends_of, read_interrupted
from producer.metrics import (
    BYTES_FED,
    FRAMES_DROPPED,
    FRAMES_SAMPLED,
    IN_FLIGHT_BYTES,
    PUSH_SECONDS,
    WAITING_SECONDS,
)
from producer.presentation.clock import clock
from producer.saying import say
from worker.contract.connection import room_for_feeding
from worker.contract.keys import RUNNING, LectureKeys, checked_id
from worker.contract.lifetimes import FEEDER_TTL_S, FRAMES_TTL_S, RETENTION_S
from worker.contract.limits import MAX_RUNNING_LECTURES
from worker.contract.messages import Chunk, ChunkHead, Ending, FinalStatus, InFlight, LectureChoices, encode
from worker.contract.queue import enqueue_chunk, frame_queue

# Sixteen chunks of the largest kind: enough to keep as many workers busy, small beside what a Redis has.
MAX_BYTES = 64 * 2**20

# A live source has no more in flight than so many seconds, however small: what a system that is too slow tells is so
# late and no later. One that lost a worker makes up for it: its chunk is back in work within 20 s.
LIVE_IN_FLIGHT_S = 30.0

DROPPED_OVERLOAD = "dropped:overload"
"""The ledger's reason for frames of a live source for which there was no room in time."""

# Seconds between two looks at what is in flight: short at first, as a chunk may be done any moment, then longer and
# longer, so that many lectures that wait for the same few workers do not keep Redis busy with being asked.
POLL_S = 0.05
LONGEST_POLL_S = 0.5

# The feeder's sign of life, which lasts for FEEDER_TTL_S, outlasts two missed renewals.
RENEW_EVERY_S = 10.0


T = TypeVar("T")

# What redis-py takes for the fields of a hash; the parameter is invariant, so a narrower mapping needs a cast.
Fields = Mapping[FieldT, EncodableT]


class LectureExists(Exception):
    """The lecture's id is taken; the message says what to do."""


class TooManyLectures(Exception):
    """There is no room for another lecture; the message says what to do."""


class LectureGone(Exception):
    """The lecture was taken from its feed: forgotten, ended, or gone on with by another; the message says which."""


class Progress(NamedTuple):
    """How far a feed is: frames fed, the media seconds they stand for, the time of the last one, frames dropped."""

    frames: int
    seconds: float
    t: float
    dropped: int = 0


class FrameSource(Protocol):
    """What a feed feeds; `producer.feeding.source.Source` is one. If `live`, what is not read in time is lost."""

    @property
    def live(self) -> bool: ...

    @property
    def shortfall(self) -> str | None: ...

    def frames(self, stop: threading.Event) -> Iterator[SampledFrame]: ...


class Feed:
    """One lecture's feeding, from `start` to `finish`. One thread at a time; `progress` may be read by any.

    Errors of Redis come through as redis.RedisError, after the client's own retries. What is written for a chunk may
    be written again without harm, so a reply lost on the way does not unbalance the ledger.
    """

    def __init__(
        self,
        client: redis.Redis,
        lecture: str,
        fps: float,
        width: int,
        height: int,
        max_bytes: int,
        retention_s: int = RETENTION_S,
    ) -> None:
        self._client = client
        self._queue = frame_queue(client)
        self._lecture = lecture
        self._keys = LectureKeys(lecture)
        self._fps = fps
        self._width = width
        self._height = height
        self._max_bytes = max_bytes
        # Kept with the lecture. It tells whether a transaction was done whose answer was lost on the way, and has
        # whoever slept for hours not go on feeding what somebody else has taken over.
        self._token = uuid4().hex.encode()
        self._retention_s = retention_s
        self._next_chunk = 0
        self._finished = False
        self._said_full = False
        self._renew_at = math.inf  # until there is a lecture
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
        class_only: bool = False,
        retention_s: int = RETENTION_S,
    ) -> "Feed":
        """Create the lecture in Redis. `source_name` is kept with it as it is, results for `retention_s` seconds.

        Raises LectureExists if there is one of that id, TooManyLectures if so many run that there is no room for
        another, ValueError if an id is not well formed.
        """
        if participant is not None:
            checked_id(participant, "participant id")
        feed = cls(client, lecture, fps, width, height, max_bytes, retention_s)
        choices = LectureChoices(participant, class_only, retention_s)
        create = partial(client.transaction, lambda pipe: feed._create(pipe, source_name, choices), feed._keys.info)
        feed._when_not_full(create)
        feed._begin()
        return feed

    @classmethod
    def resume(cls, client: redis.Redis, lecture: str, interrupted: Interrupted, max_bytes: int = MAX_BYTES) -> "Feed":
        """Go on with a lecture that was `interrupted` (see `read_interrupted`), behind the last frame that was fed.

        What of that is still in flight is committed before what follows. Raises LectureNotResumable if the lecture is
        not as it was when that was read.
        """
        width, height = interrupted.width, interrupted.height
        feed = cls(client, lecture, interrupted.fps, width, height, max_bytes, interrupted.retention_s)
        keys = feed._keys
        watched = keys.info, keys.state, keys.feeder
        feed._when_not_full(partial(client.transaction, lambda pipe: feed._take_over(pipe, interrupted), *watched))
        feed._begin()
        feed._next_chunk = interrupted.next_chunk
        frames = interrupted.frames
        feed.progress = Progress(frames, frames / feed._fps, max(0, frames - 1) / feed._fps)
        return feed

    def run(self, source: FrameSource, stop: threading.Event) -> None:
        """Feed all of `source`, then finish the lecture: done, failed if the source fell short, or stopped.

        A recording waits for room; of a live source the oldest chunks are dropped and counted when there is none.
        When `stop` is set, no chunk of a recording is begun any more, so that whoever resumes it cuts the chunks that
        there would have been; of a live source the frames in hand are still fed if the budget has room for them.
        """
        if source.live:
            self._feed_live(source, stop)
        else:
            self._feed_recording(source, stop)
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
        pause = POLL_S
        while self._room(size) < size:
            WAITING_SECONDS.inc(pause)
            if stop.wait(pause):
                return False
            pause = min(pause * 1.5, LONGEST_POLL_S)
            self.renew()
        return True

    @PUSH_SECONDS.time()
    def push(self, chunk: Chunk) -> None:
        """Hand the next chunk to the workers; where Redis is full, wait until it is not.

        Raises LectureGone, and LimitExceeded for a chunk that no worker would take.
        """
        chunk.check()
        number = self._next_chunk
        self._when_not_full(lambda: self._hand_over(number, chunk))
        self._when_not_full(lambda: enqueue_chunk(self._queue, self._lecture, number))
        self._next_chunk += 1
        if chunk.head.frames:
            last = chunk.head.frames[-1]
            frames = self.progress.frames + chunk.head.frame_count
            FRAMES_SAMPLED.inc(chunk.head.frame_count)
            BYTES_FED.inc(chunk.size)
            IN_FLIGHT_BYTES.inc(chunk.size)
            self.progress = Progress(frames, frames / self._fps, last.t, self.progress.dropped)

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
        self._must_be_ours(self._client)
        in_flight = cast(dict[bytes, bytes], self._client.hgetall(self._keys.in_flight))
        IN_FLIGHT_BYTES.set(sum(json.decode(chunk, type=InFlight).size for chunk in in_flight.values()))
        with self._client.pipeline(transaction=False) as pipe:
            for number, chunk in in_flight.items():
                if json.decode(chunk, type=InFlight).size:
                    pipe.expire(self._keys.chunk(int(number)), FRAMES_TTL_S)
            pipe.expire(self._keys.feeder, FEEDER_TTL_S)  # which, other than SET, a full Redis does too
            *_, fed = pipe.execute()
        if not self._finished:
            if not fed:
                with suppress(redis.OutOfMemoryError):
                    self._client.set(self._keys.feeder, 1, ex=FEEDER_TTL_S)
            self._enlist()

    def _feed_recording(self, source: FrameSource, stop: threading.Event) -> None:
        for chunk in packed(self._attended(source.frames(stop)), self._width, self._height):
            if stop.is_set() or not self.wait_for_room(chunk.size, stop):
                break
            self.push(chunk)

    def _attended(self, frames: Iterator[SampledFrame]) -> Iterator[SampledFrame]:
        for frame in frames:
            self.renew()
            yield frame

    def _feed_live(self, source: FrameSource, stop: threading.Event) -> None:
        """A thread of its own reads the source, which waits for nobody; this one speaks to Redis."""
        enough = threading.Event()
        backlog = Backlog(self._fps, self._width, self._height, self._max_bytes)
        reader = threading.Thread(target=backlog.fill, args=(source.frames(enough),), name="reading", daemon=True)
        reader.start()
        try:
            while not backlog.exhausted:
                self.renew()
                if backlog.wait(POLL_S):
                    self._push_if_room(backlog, stop)
                self._count_dropped(backlog.dropped)
                if stop.is_set():
                    enough.set()
        finally:
            enough.set()
            reader.join()

    def _push_if_room(self, backlog: Backlog, stop: threading.Event) -> None:
        chunk = backlog.take(self._room(most_frames=LIVE_IN_FLIGHT_S * self._fps))
        if chunk is not None:
            self.push(chunk)
        elif stop.is_set():
            backlog.drop_all()
        else:
            WAITING_SECONDS.inc(POLL_S)
            stop.wait(POLL_S)

    def _count_dropped(self, dropped: int) -> None:
        """Have the ledger say that so many frames were dropped since the beginning. Raises LectureGone."""
        if dropped == self.progress.dropped:
            return
        progress = self.progress._replace(dropped=dropped)
        self._when_not_full(
            lambda: self._client.transaction(lambda pipe: self._account_dropped(pipe, progress), self._keys.info)
        )
        FRAMES_SAMPLED.inc(dropped - self.progress.dropped)
        FRAMES_DROPPED.labels("overload").inc(dropped - self.progress.dropped)
        self.progress = progress

    def _room(self, size: float = 0, most_frames: float = math.inf) -> float:
        """Bytes that may still be put in flight: any number if nothing is, none if `most_frames` are.

        But no more than Redis has memory for; if that is why `size` bytes have to wait, it is said once.
        Raises LectureGone.
        """
        with self._client.pipeline(transaction=False) as pipe:
            pipe.exists(self._keys.info)
            pipe.hvals(self._keys.in_flight)
            exists, values = pipe.execute()
        self._must_exist(exists)
        memory = room_for_feeding(self._client)
        if memory < size or memory <= 0:
            self._say_full()
        in_flight = [json.decode(value, type=InFlight) for value in values]
        IN_FLIGHT_BYTES.set(sum(chunk.size for chunk in in_flight))
        if sum(chunk.frames for chunk in in_flight) >= most_frames:
            return 0.0
        return min(memory, self._max_bytes - sum(chunk.size for chunk in in_flight) if in_flight else math.inf)

    def _hand_over(self, number: int, chunk: Chunk) -> None:
        key = self._keys.chunk(number)
        # The pixels go first and unwatched: an unrelated change of the lecture must not make them be sent again.
        # If nothing follows, they expire. What a feed that was killed here left under this number goes.
        with self._client.pipeline() as pipe:
            pipe.delete(key, self._keys.outcome(number))
            pipe.hset(key, mapping=cast(Fields, chunk.to_hash()))
            # An ending has no pixels, and must arrive.
            pipe.expire(key, FRAMES_TTL_S if chunk.jpegs else self._retention_s)
            pipe.execute()
        try:
            self._client.transaction(lambda pipe: self._account(pipe, number, chunk), self._keys.info)
        except (LectureGone, redis.OutOfMemoryError):
            self._client.delete(key)
            raise

    def _when_not_full(self, write: Callable[[], T]) -> T:
        """Write to Redis; as long as it is full, wait for the workers to make room, and try again."""
        pause = POLL_S
        while True:
            try:
                return write()
            except redis.OutOfMemoryError:
                self._say_full()
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_POLL_S)
            self.renew()

    def _say_full(self) -> None:
        if not self._said_full:
            self._said_full = True
            say("Redis is full (its maxmemory); waiting until workers, `producer forget` or more memory make room")

    def _begin(self) -> None:
        self._renew_at = time.monotonic() + RENEW_EVERY_S
        self._enlist()

    def _enlist(self) -> None:
        with suppress(redis.OutOfMemoryError):  # the next renewal does it
            self._client.sadd(RUNNING, self._lecture)

    def _create(self, pipe: Pipeline, source: str, choices: LectureChoices) -> None:
        if pipe.hget(self._keys.info, "feed") == self._token:
            return  # done before, and only the answer was lost
        if pipe.exists(self._keys.info):
            raise LectureExists(
                f"lecture {self._lecture} exists already: run `producer forget {self._lecture}` first, "
                "or choose another id with --lecture"
            )
        if pipe.scard(RUNNING) >= MAX_RUNNING_LECTURES:
            raise TooManyLectures(
                f"{MAX_RUNNING_LECTURES} lectures are running on this Redis, the most there may be; "
                "wait until one is over"
            )
        pipe.multi()
        fields = {
            "source": source,
            "status": "running",
            "fps": self._fps,
            "width": self._width,
            "height": self._height,
            "started": time.time(),
            "feed": self._token,
            "chunks": 0,
            "retention": choices.retention,
            "class_only": int(choices.class_only),
            **dict.fromkeys(("sampled", "published", "dropped", "failed"), 0),
        }
        pipe.hset(self._keys.info, mapping=cast(Fields, fields))
        pipe.expire(self._keys.info, choices.retention)
        pipe.set(self._keys.state, encode(choices), ex=choices.retention)
        pipe.set(self._keys.feeder, 1, ex=FEEDER_TTL_S)

    def _account(self, pipe: Pipeline, number: int, chunk: Chunk) -> None:
        token, chunks = cast(list[bytes | None], pipe.hmget(self._keys.info, "feed", "chunks"))
        if token == self._token and int(chunks or 0) == number + 1:
            return  # done before, and only the answer was lost; the chunk may be committed by now
        self._must_be_ours(pipe)
        if int(chunks or 0) != number:
            raise LectureGone(
                f"Redis has lost what was last fed to lecture {self._lecture} (is its append-only file on, and always "
                "synced?); --resume goes on with what is left, once workers have ended it"
            )
        in_flight = InFlight(chunk.head.frame_count, chunk.size)
        pipe.multi()
        pipe.hset(self._keys.in_flight, str(number), encode(in_flight))
        pipe.expire(self._keys.in_flight, self._retention_s)
        # The total and not an increment, which a repeated transaction would count twice.
        sampled = self.progress.frames + self.progress.dropped + in_flight.frames
        pipe.hset(self._keys.info, mapping={"sampled": sampled, "chunks": number + 1})
        pipe.set(self._keys.feeder, 1, ex=FEEDER_TTL_S)

    def _account_dropped(self, pipe: Pipeline, progress: Progress) -> None:
        self._must_be_ours(pipe)
        pipe.multi()
        counts = {
            "sampled": progress.frames + progress.dropped,
            "dropped": progress.dropped,
            DROPPED_OVERLOAD: progress.dropped,
        }
        pipe.hset(self._keys.info, mapping=cast(Fields, counts))

    def _take_over(self, pipe: Pipeline, interrupted: Interrupted) -> None:
        if pipe.hget(self._keys.info, "feed") == self._token:
            return  # done before, and only the answer was lost
        if read_interrupted(pipe, self._lecture) != interrupted:
            raise LectureNotResumable(f"lecture {self._lecture} has just changed; try again")
        ends = ends_of(pipe, self._keys)
        pipe.multi()
        pipe.hset(self._keys.info, mapping={"status": "running", "feed": self._token, "chunks": interrupted.next_chunk})
        pipe.hdel(self._keys.info, "ended", "reason")
        for stream, position in ends:
            pipe.xdel(stream, position)
        for key in (self._keys.info, self._keys.state):
            pipe.expire(key, self._retention_s)
        pipe.set(self._keys.feeder, 1, ex=FEEDER_TTL_S)

    def _must_be_ours(self, client: redis.Redis) -> None:
        """Raise LectureGone unless the lecture is there, running and fed by this feed."""
        status, token = cast(list[bytes | None], client.hmget(self._keys.info, "status", "feed"))
        self._must_exist(status is not None)
        if token != self._token:
            raise LectureGone(f"lecture {self._lecture} is fed by another producer, which has resumed it")
        if status != b"running" and not self._finished:
            raise LectureGone(
                f"lecture {self._lecture} was ended while nothing was heard of this producer; --resume goes on with it"
            )

    def _must_exist(self, exists: int) -> None:
        if not exists:
            raise LectureGone(f"lecture {self._lecture} was forgotten while it was being fed")
