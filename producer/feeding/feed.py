"""Feeding one lecture to the workers: chunks into Redis, never more than a budget of bytes at once."""

import math
import threading
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol, cast

import redis
from msgspec import json
from redis.client import Pipeline
from redis.typing import EncodableT, FieldT

from producer.clock import clock
from producer.feeding.backlog import Backlog
from producer.feeding.frame import SampledFrame
from producer.feeding.packing import packed
from worker.contract.keys import RUNNING, LectureKeys, checked_id
from worker.contract.limits import LECTURES_RUNNING
from worker.contract.messages import Chunk, ChunkHead, Ending, FinalStatus, InFlight, LectureChoices, encode
from worker.contract.server import FRAMES_TTL_S, RETENTION_S, enqueue_chunk, frame_queue

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

# The feeder's sign of life outlasts two missed renewals.
FEEDER_TTL_S = 30
RENEW_EVERY_S = 10.0


# What redis-py takes for the fields of a hash; the parameter is invariant, so a narrower mapping needs a cast.
Fields = Mapping[FieldT, EncodableT]


class LectureExists(Exception):
    """The lecture's id is taken; the message says what to do."""


class TooManyLectures(Exception):
    """There is no room for another lecture; the message says what to do."""


class LectureGone(Exception):
    """Somebody forgot the lecture while it was being fed."""


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
        self._retention_s = retention_s
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
        client.transaction(lambda pipe: feed._create(pipe, source_name, choices), feed._keys.info)
        return feed

    def run(self, source: FrameSource, stop: threading.Event) -> None:
        """Feed all of `source`, then finish the lecture: done, failed if the source fell short, or stopped.

        A recording waits for room; of a live source the oldest chunks are dropped and counted when there is none.
        When `stop` is set, frames in hand are still fed if the budget has room for them.
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
        while self._room() < size:
            if stop.wait(pause):
                return False
            pause = min(pause * 1.5, LONGEST_POLL_S)
            self.renew()
        return True

    def push(self, chunk: Chunk) -> None:
        """Hand the next chunk to the workers. Raises LectureGone, and TooMuch for one that no worker would take."""
        chunk.check()
        number = self._next_chunk
        key = self._keys.chunk(number)
        # The pixels go first and unwatched: an unrelated change of the lecture must not make them be sent again.
        # If nothing follows, they expire.
        with self._client.pipeline() as pipe:
            pipe.hset(key, mapping=cast(Fields, chunk.to_hash()))
            pipe.expire(
                key, FRAMES_TTL_S if chunk.jpegs else self._retention_s
            )  # the ending has no pixels, and must arrive
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
            frames = self.progress.frames + chunk.head.frame_count
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
        self._must_exist(self._client.exists(self._keys.info))
        in_flight = cast(dict[bytes, bytes], self._client.hgetall(self._keys.in_flight))
        with self._client.pipeline(transaction=False) as pipe:
            for number, chunk in in_flight.items():
                if json.decode(chunk, type=InFlight).size:
                    pipe.expire(self._keys.chunk(int(number)), FRAMES_TTL_S)
            if not self._finished:
                pipe.set(self._keys.feeder, 1, ex=FEEDER_TTL_S)
            pipe.execute()

    def _feed_recording(self, source: FrameSource, stop: threading.Event) -> None:
        for chunk in packed(self._attended(source.frames(stop)), self._width, self._height):
            if not self.wait_for_room(chunk.size, stop):
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
            stop.wait(POLL_S)

    def _count_dropped(self, dropped: int) -> None:
        """Have the ledger say that so many frames were dropped since the beginning. Raises LectureGone."""
        if dropped == self.progress.dropped:
            return
        progress = self.progress._replace(dropped=dropped)
        self._client.transaction(lambda pipe: self._account_dropped(pipe, progress), self._keys.info)
        self.progress = progress

    def _room(self, most_frames: float = math.inf) -> float:
        """Bytes that may still be put in flight: any number if nothing is, none if `most_frames` are.

        Raises LectureGone.
        """
        with self._client.pipeline(transaction=False) as pipe:
            pipe.exists(self._keys.info)
            pipe.hvals(self._keys.in_flight)
            exists, values = pipe.execute()
        self._must_exist(exists)
        in_flight = [json.decode(value, type=InFlight) for value in values]
        if sum(chunk.frames for chunk in in_flight) >= most_frames:
            return 0.0
        return self._max_bytes - sum(chunk.size for chunk in in_flight) if in_flight else math.inf

    def _create(self, pipe: Pipeline, source: str, choices: LectureChoices) -> None:
        if pipe.exists(self._keys.info):
            raise LectureExists(
                f"lecture {self._lecture} exists already: run `producer forget {self._lecture}` first, "
                "or choose another id with --lecture"
            )
        if pipe.scard(RUNNING) >= LECTURES_RUNNING:
            raise TooManyLectures(
                f"{LECTURES_RUNNING} lectures are running on this Redis, the most there may be; wait until one is over"
            )
        pipe.multi()
        fields = {
            "source": source,
            "status": "running",
            "fps": self._fps,
            "width": self._width,
            "height": self._height,
            "started": time.time(),
            "retention": choices.retention,
            "class_only": int(choices.class_only),
            **dict.fromkeys(("sampled", "published", "dropped", "failed"), 0),
        }
        pipe.hset(self._keys.info, mapping=cast(Fields, fields))
        pipe.expire(self._keys.info, choices.retention)
        pipe.set(self._keys.state, encode(choices), ex=choices.retention)
        pipe.set(self._keys.feeder, 1, ex=FEEDER_TTL_S)

    def _account(self, pipe: Pipeline, number: int, chunk: Chunk) -> None:
        self._must_exist(pipe.exists(self._keys.info))
        pipe.multi()
        in_flight = InFlight(chunk.head.frame_count, chunk.size)
        pipe.hset(self._keys.in_flight, str(number), encode(in_flight))
        pipe.expire(self._keys.in_flight, self._retention_s)
        # The total and not an increment, which a repeated transaction would count twice.
        pipe.hset(self._keys.info, "sampled", self.progress.frames + self.progress.dropped + in_flight.frames)
        pipe.set(self._keys.feeder, 1, ex=FEEDER_TTL_S)

    def _account_dropped(self, pipe: Pipeline, progress: Progress) -> None:
        self._must_exist(pipe.exists(self._keys.info))
        pipe.multi()
        counts = {
            "sampled": progress.frames + progress.dropped,
            "dropped": progress.dropped,
            DROPPED_OVERLOAD: progress.dropped,
        }
        pipe.hset(self._keys.info, mapping=cast(Fields, counts))

    def _must_exist(self, exists: int) -> None:
        if not exists:
            raise LectureGone(f"lecture {self._lecture} was forgotten while it was being fed")
