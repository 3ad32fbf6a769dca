"""The feed: it reads a source to its end and pushes the frames as chunks, within a budget of bytes in flight."""

import math
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import redis

from producer.feeding.backlog import Backlog
from producer.feeding.fed_lecture import POLL_S, FedLecture, FramesLost, pauses
from producer.feeding.packing import packed
from producer.feeding.resuming import Interrupted
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.sources.source import Source
from producer.feeding.starting import NewLecture
from producer.metrics.counters import (
    BYTES_FED,
    FRAMES_DROPPED,
    FRAMES_SAMPLED,
    IN_FLIGHT_BYTES,
    PUSH_SECONDS,
    WAITING_SECONDS,
)
from producer.presentation.clock import clock
from worker.contract.messages import Chunk, ChunkHead, Ending, FinalStatus, LectureChoices

# Default budget: sixteen of the largest chunks. So sixteen workers are busy, and Redis has much more memory than this.
MAX_BYTES = 64 * 2**20

# A live source has at most this many seconds of frames in flight, so that the events of an overloaded system are at
# most this late. It is longer than the 20 s after which the chunk of a dead worker is processed again.
LIVE_IN_FLIGHT_S = 30.0

T = TypeVar("T")


class FeedProgress(NamedTuple):
    """The progress of a feed: frames fed, media time of the last one in seconds, frames dropped."""

    frames: int = 0
    t: float = 0.0
    dropped: int = 0


class Feed:
    """The feed of one lecture, from `start` or `resume` to `finish`. One thread at a time; any may read `progress`.

    Errors of Redis come through as redis.RedisError, after the client's own retries.
    """

    def __init__(
        self, lecture: FedLecture, fps: float, width: int, height: int, choices: LectureChoices, max_bytes: int
    ) -> None:
        self._lecture = lecture
        self._fps = fps
        self._width = width
        self._height = height
        self._choices = choices
        self._max_bytes = max_bytes
        self._live = False
        self._ending: Ending | None = None
        self._fed_again = 0  # frames that were counted as sampled, and will be fed a second time
        self.progress = FeedProgress()

    @classmethod
    def start(cls, client: redis.Redis, new: NewLecture, max_bytes: int = MAX_BYTES) -> "Feed":
        """Create the lecture in Redis; at most `max_bytes` bytes of its pixels are in flight.

        Raises LectureExists, TooManyLectures, and ValueError if an id is not well formed.
        """
        return cls(FedLecture.start(client, new), new.fps, new.width, new.height, new.choices, max_bytes)

    @classmethod
    def resume(cls, client: redis.Redis, lecture: str, interrupted: Interrupted, max_bytes: int = MAX_BYTES) -> "Feed":
        """Resume an interrupted lecture (see `read_interrupted`) with the first frame that was not fed.

        Chunks that are still in flight are committed first. Raises LectureNotResumable if the lecture has changed since
        `interrupted` was read.
        """
        fed = FedLecture.resume(client, lecture, interrupted)
        feed = cls(fed, interrupted.fps, interrupted.width, interrupted.height, interrupted.choices, max_bytes)
        feed._set_progress()
        return feed

    def run(self, source: Source, stop: threading.Event) -> None:
        """Feed all of `source`, then finish the lecture: done, failed if the source fell short, or stopped.

        A recording waits for room. A live source does not: if there is no room, its oldest chunks are dropped and
        counted. When `stop` is set, a recording starts no further chunk, so that a feed that resumes it forms the same
        chunks. The backlog of a live source is still fed if there is room for it. Raises LectureGone.

        If Redis crashed and has lost frames of a recording, they are read and fed again. Those of a live source are
        dropped and counted.
        """
        self._live = source.live
        while True:
            try:
                self._feed(source, stop)
                return
            except FramesLost:  # only of a recording
                self.go_back()

    def go_back(self) -> None:
        """After FramesLost: set the progress to what Redis still has. Raises LectureGone."""
        lost = self._lecture.recover(self._live)
        if self._live:
            FRAMES_DROPPED.labels("redis_lost").inc(lost)
        before = self.progress.frames
        self._set_progress()
        if not self._live:
            self._fed_again += before - self.progress.frames

    def wait_for_room(self, size: int, stop: threading.Event) -> bool:
        """Wait until `size` more bytes in flight are within the budget; False if `stop` is set before.

        A chunk that exceeds the whole budget waits until nothing is in flight. Raises LectureGone.
        """
        growing_pauses = pauses()
        while self._room(size) < size:
            pause = next(growing_pauses)
            WAITING_SECONDS.inc(pause)
            if stop.wait(pause):
                return False
            self.renew()
        return True

    @PUSH_SECONDS.time()
    def push(self, chunk: Chunk) -> None:
        """Push the next chunk; while Redis is full, wait.

        Raises LectureGone, FramesLost if the source is a recording, and LimitExceeded for a chunk that is larger than
        any worker accepts.
        """
        chunk.check()
        self._through_losses(lambda: self._lecture.push(chunk))
        if chunk.head.frames:
            again = min(self._fed_again, chunk.head.frame_count)
            self._fed_again -= again
            FRAMES_SAMPLED.inc(chunk.head.frame_count - again)
            BYTES_FED.inc(chunk.size)
            IN_FLIGHT_BYTES.inc(chunk.size)
            self.progress = self.progress._replace(frames=self._lecture.fed.frames, t=chunk.head.frames[-1].t)

    def finish(self, status: FinalStatus, reason: str | None = None) -> None:
        """Push the ending. Workers end the lecture with it, after everything before it is committed."""
        self._ending = None
        ending = Ending(status, reason)
        self.push(Chunk(ChunkHead([], self._width, self._height, ending), []))
        self._ending = ending
        self._lecture.release()

    def renew(self) -> None:
        """Renew the heartbeat and the pixels in flight, if it is time to. Raises LectureGone.

        The feed does so while it runs. Call it after `finish`, often, while you wait for the lecture's end. If it
        raises FramesLost then, Redis has lost frames of a recording: call `go_back` and `run` again.
        """
        self._through_losses(self._lecture.renew)

    def beat(self) -> None:
        """Keep the heartbeat while `run` waits for its source. Any thread may call it, often."""
        self._lecture.beat()

    def _feed(self, source: Source, stop: threading.Event) -> None:
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

    def _feed_recording(self, source: Source, stop: threading.Event) -> None:
        frames = source.frames(stop, self.progress.frames)
        for chunk in packed(self._renewing(frames), self._width, self._height, self._choices.ignored):
            if stop.is_set() or not self.wait_for_room(chunk.size, stop):
                break
            self.push(chunk)

    def _renewing(self, frames: Iterator[SampledFrame]) -> Iterator[SampledFrame]:
        for frame in frames:
            self._lecture.renew()
            yield frame

    def _feed_live(self, source: Source, stop: threading.Event) -> None:
        """A second thread reads the source, because a live source never waits. This thread writes to Redis."""
        enough = threading.Event()
        backlog = Backlog(self._fps, self._width, self._height, self._max_bytes, self._choices.ignored)
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
        chunk = backlog.take(self._room(max_frames=LIVE_IN_FLIGHT_S * self._fps))
        if chunk is not None:
            self.push(chunk)
        elif stop.is_set():
            backlog.drop_all()
        else:
            WAITING_SECONDS.inc(POLL_S)
            stop.wait(POLL_S)

    def _count_dropped(self, dropped: int) -> None:
        """Write the number of all frames that the backlog has `dropped` to the ledger, if it has changed."""
        new = dropped - self._lecture.fed.dropped.get("overload", 0)
        if new:
            self._through_losses(lambda: self._lecture.drop("overload", new))
            FRAMES_SAMPLED.inc(new)
            FRAMES_DROPPED.labels("overload").inc(new)
            self.progress = self.progress._replace(dropped=self._lecture.fed.all_dropped)

    def _through_losses(self, call: Callable[[], T]) -> T:
        """The result of `call`. If it raises FramesLost, a live source drops the frames, and `call` is repeated."""
        while True:
            try:
                return call()
            except FramesLost:
                if not self._live:
                    raise
                self.go_back()
                if self._ending is not None:
                    self.finish(self._ending.status, self._ending.reason)

    def _set_progress(self) -> None:
        fed = self._lecture.fed
        t = self.progress.t if self._live else (self._choices.begin or 0.0) + max(0, fed.frames - 1) / self._fps
        self.progress = FeedProgress(fed.frames, t, fed.all_dropped)

    def _room(self, size: float = 0, max_frames: float = math.inf) -> float:
        """Bytes that may be pushed now: the rest of the budget, but not more than Redis has memory for.

        A chunk of any size may be pushed if nothing is in flight, and none if `max_frames` frames are in flight.
        """
        in_flight = self._through_losses(self._lecture.in_flight).values()
        memory = self._lecture.free_memory(size)
        if sum(chunk.frames for chunk in in_flight) >= max_frames:
            return 0.0
        return min(memory, self._max_bytes - sum(chunk.size for chunk in in_flight) if in_flight else math.inf)
