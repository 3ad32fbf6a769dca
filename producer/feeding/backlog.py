"""The backlog of a live source: frames that wait in this process until there is room for them in Redis."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence

from producer.feeding.packing import bytes_of, chunk_of, fits
from producer.feeding.sources.frame import SampledFrame
from worker.contract.messages import Chunk, PixelBox

# Media time of one live chunk. Whole chunks are dropped, and no frame waits longer than this for its chunk to be full.
LIVE_CHUNK_S = 1.0

# Seconds that a frame waits for more frames, so that they share a job. A job costs 10 ms beside its frames. At 2 frames
# per second no frame waits.
LINGER_S = 0.25

# Frames older than this are dropped. HLS segments arrive as a whole, but are shorter than this.
BACKLOG_S = 10.0


class Backlog:
    """Chunks of a source of `width` x `height` pixels at `fps`. One thread fills it, another one empties it.

    It holds at most `max_bytes` bytes and BACKLOG_S seconds, but always the newest chunk. Beyond that it drops the
    oldest chunks; `dropped` counts their frames.
    """

    def __init__(self, fps: float, width: int, height: int, max_bytes: int, ignored: Sequence[PixelBox] = ()) -> None:
        """In the regions `ignored`, faces do not count."""
        self._fps = fps
        self._width = width
        self._height = height
        self._max_bytes = max_bytes
        self._ignored = ignored
        self._groups: deque[list[SampledFrame]] = deque()
        self._size = 0
        self._newest_came = 0.0
        self._changed = threading.Condition()
        self._over = False
        self._failure: BaseException | None = None
        self.dropped = 0

    def fill(self, frames: Iterable[SampledFrame]) -> None:
        """Put in all of `frames` as they come. If they raise, `exhausted` raises the same in the other thread."""
        try:
            for frame in frames:
                self.put(frame)
        except BaseException as failure:
            self._failure = failure
        finally:
            with self._changed:
                self._over = True
                self._changed.notify()

    def put(self, frame: SampledFrame) -> None:
        """Put in one frame, and drop the oldest chunks beyond the bounds."""
        with self._changed:
            if self._groups and fits([frame], self._groups[-1], LIVE_CHUNK_S):
                self._groups[-1].append(frame)
            else:
                self._groups.append([frame])
                self._newest_came = time.monotonic()
            self._size += len(frame.jpeg)
            while len(self._groups) > 1 and (
                self._size > self._max_bytes or frame.t - self._groups[0][0].t > BACKLOG_S
            ):
                self._drop_oldest()
            self._changed.notify()

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` until a chunk is ready to be fed. Returns whether there is one."""
        with self._changed:
            return self._changed.wait_for(self._has_ready_chunk, seconds)

    def take(self, room: float) -> Chunk | None:
        """The oldest chunk, if it is no larger than `room` bytes."""
        with self._changed:
            if not self._groups or bytes_of(self._groups[0]) > room:
                return None
            frames = self._groups.popleft()
            self._size -= bytes_of(frames)
            return chunk_of(frames, self._width, self._height, self._ignored)

    def drop_all(self) -> None:
        with self._changed:
            while self._groups:
                self._drop_oldest()

    @property
    def exhausted(self) -> bool:
        """Whether the backlog is empty and no more frames will come. Raises the exception of `fill`, if any."""
        with self._changed:
            if self._failure is not None:
                raise self._failure
            return self._over and not self._groups

    def _drop_oldest(self) -> None:
        frames = self._groups.popleft()
        self._size -= bytes_of(frames)
        self.dropped += len(frames)

    def _has_ready_chunk(self) -> bool:
        """Whether the oldest chunk need not wait for more frames."""
        if not self._groups:
            return False
        if len(self._groups) > 1 or self._over:
            return True
        frames = self._groups[0]
        return frames[-1].t + 1 / self._fps - frames[0].t > LINGER_S or time.monotonic() - self._newest_came >= LINGER_S
