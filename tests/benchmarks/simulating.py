"""A cell as a discrete-event simulation: lectures send frames, workers take them from one queue, Redis has one thread.

Pure: no clock and no Redis. `ten_thousand` gives it measured times.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from itertools import count
from typing import NamedTuple

VISITS = 3
"""A frame's visits to Redis: pushed, fetched, committed. Each takes a third of the frame's time there."""


class Frame(NamedTuple):
    """Frame `number` of a lecture, which is ready to be pushed at `time`, in seconds."""

    time: float
    lecture: int
    number: int


def live(lectures: int, seconds: float, offsets: Callable[[], float], fps: float = 1.0) -> list[Frame]:
    """The frames of lectures that run for `seconds`; each begins at its own offset within a sampling step."""
    frames = []
    for lecture in range(lectures):
        begin = offsets() / fps
        frames += [Frame(begin + number / fps, lecture, number) for number in range(round(seconds * fps))]
    return sorted(frames)


def latencies(frames: Iterable[Frame], workers: int, service: Callable[[], float], redis_s: float) -> list[float]:
    """Seconds from each frame's time to its publication, in the order of publication.

    `service` gives the processor time of a worker for the next frame, `redis_s` is Redis' for a whole frame. Workers
    take frames in the order of their arrival. A frame is published after all earlier ones of its lecture.
    """
    events: list[tuple[float, int, Callable[[float, Frame], None], Frame]] = []
    order, queue = count(), deque[Frame]()
    found: list[float] = []
    done: dict[int, dict[int, Frame]] = defaultdict(dict)
    following: dict[int, int] = defaultdict(int)
    idle, redis_free = workers, 0.0

    def at(time: float, what: Callable[[float, Frame], None], frame: Frame) -> None:
        heapq.heappush(events, (time, next(order), what, frame))

    def visit_redis(now: float) -> float:
        nonlocal redis_free
        redis_free = max(now, redis_free) + redis_s / VISITS
        return redis_free

    def arrived(now: float, frame: Frame) -> None:
        at(visit_redis(now), queued, frame)

    def queued(now: float, frame: Frame) -> None:
        nonlocal idle
        queue.append(frame)
        if idle:
            idle -= 1
            at(visit_redis(now), fetched, queue.popleft())

    def fetched(now: float, frame: Frame) -> None:
        at(now + service(), observed, frame)

    def observed(now: float, frame: Frame) -> None:
        at(visit_redis(now), committed, frame)

    def committed(now: float, frame: Frame) -> None:
        nonlocal idle
        waiting = done[frame.lecture]
        waiting[frame.number] = frame
        while ready := waiting.pop(following[frame.lecture], None):
            following[frame.lecture] += 1
            found.append(now - ready.time)
        if queue:
            at(visit_redis(now), fetched, queue.popleft())
        else:
            idle += 1

    for frame in frames:
        at(frame.time, arrived, frame)
    while events:
        now, _, what, frame = heapq.heappop(events)
        what(now, frame)
    return found


def fewest_workers(good: Callable[[int], bool], at_least: int) -> int:
    """The smallest number of workers from `at_least` on that is `good`; more workers are never worse."""
    low, high = at_least - 1, at_least
    while not good(high):
        low, high = high, high + max(1, (high + 3) // 4)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if good(middle) else (middle, high)
    return high
