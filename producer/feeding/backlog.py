"""What a live source has given and the workers have no room for yet: short chunks, the oldest dropped if need be."""

import threading
import time
from collections import deque
from collections.abc import Iterable

from producer.feeding.packing import CHUNK_BYTES, CHUNK_PICTURES, chunk_of
from producer.feeding.sources.frame import SampledFrame
from worker.contract.messages import Chunk

# In media time, of one chunk: what is dropped is dropped by the second, and no event waits for longer than that.
CHUNK_S = 1.0
# A frame waits no longer for others to share the 10 ms that a job costs beside them: at 2 frames a second, not at all.
LINGER_S = 0.25
# What is older than this is dropped: an HLS segment, which comes in one go, is no longer.
BACKLOG_S = 10.0


class Backlog:
    """Chunks of a source of `width` x `height` pixels at `fps`: filled by one thread, emptied by another.

    Holds no more than `max_bytes` bytes and BACKLOG_S seconds, but always the newest chunk. `dropped` counts frames.
    """

    def __init__(self, fps: float, width: int, height: int, max_bytes: int) -> None:
        self._fps = fps
        self._width = width
        self._height = height
        self._max_bytes = max_bytes
        self._groups: deque[list[SampledFrame]] = deque()
        self._size = 0
        self._newest_came = 0.0
        self._changed = threading.Condition()
        self._over = False
        self._failure: BaseException | None = None
        self.dropped = 0

    def fill(self, frames: Iterable[SampledFrame]) -> None:
        """Put in all of `frames` as they come; what they end with is raised where the backlog is emptied."""
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
        with self._changed:
            if self._groups and self._belongs(frame, self._groups[-1]):
                self._groups[-1].append(frame)
            else:
                self._groups.append([frame])
                self._newest_came = time.monotonic()
            self._size += len(frame.jpeg)
            while len(self._groups) > 1 and self._too_much(frame):
                self._drop_oldest()
            self._changed.notify()

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until a frame comes that makes a chunk worth taking; whether there is one."""
        with self._changed:
            return self._changed.wait_for(self._ripe, seconds)

    def take(self, room: float) -> Chunk | None:
        """The oldest chunk, if it is no larger than `room` bytes."""
        with self._changed:
            if not self._groups or _size(self._groups[0]) > room:
                return None
            frames = self._groups.popleft()
            self._size -= _size(frames)
            return chunk_of(frames, self._width, self._height)

    def drop_all(self) -> None:
        with self._changed:
            while self._groups:
                self._drop_oldest()

    @property
    def exhausted(self) -> bool:
        """Whether nothing is in here and nothing will come. Raises what the frames ended with."""
        with self._changed:
            if self._failure is not None:
                raise self._failure
            return self._over and not self._groups

    def _belongs(self, frame: SampledFrame, group: list[SampledFrame]) -> bool:
        return (
            len(group) < CHUNK_PICTURES
            and frame.t - group[0].t < CHUNK_S
            and _size(group) + len(frame.jpeg) <= CHUNK_BYTES
        )

    def _too_much(self, newest: SampledFrame) -> bool:
        return self._size > self._max_bytes or newest.t - self._groups[0][0].t > BACKLOG_S

    def _drop_oldest(self) -> None:
        frames = self._groups.popleft()
        self._size -= _size(frames)
        self.dropped += len(frames)

    def _ripe(self) -> bool:
        """Whether the oldest chunk should wait for no more frames."""
        if not self._groups:
            return False
        if len(self._groups) > 1 or self._over:
            return True
        frames = self._groups[0]
        return frames[-1].t + 1 / self._fps - frames[0].t > LINGER_S or time.monotonic() - self._newest_came >= LINGER_S


def _size(frames: list[SampledFrame]) -> int:
    return sum(len(frame.jpeg) for frame in frames)
