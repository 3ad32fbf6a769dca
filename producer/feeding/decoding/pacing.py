"""When the pictures of a live stream were taken, and which of them are looked at."""

import math
from collections.abc import Iterable, Iterator
from typing import TypeVar

from producer.feeding.decoding.sampling import ROUNDING_S, Sample

# A step back further than this is no jitter: the stream's clock began anew.
CLOCK_BACK_S = 1.0
# A step that is so much longer than the time in which it came is none of time, but of the clock.
CLOCK_FORWARD_S = 10.0
# Pictures that come so much later than they say were not delayed on their way: their clock stood still with the sender.
LATE_S = 10.0

P = TypeVar("P")


class StreamClock:
    """The time of a picture in seconds since the first, by the stream's own clock for as long as that can be.

    That clock, and not when the picture came, because the network delivers in bursts: HLS a whole segment at once.
    Where it jumps, stands still or is missing, the time goes on by the wall clock. It never goes back.
    """

    def __init__(self) -> None:
        self._first_came: float | None = None
        self._came = 0.0
        self._stamp = 0.0
        self._shift = 0.0
        self._t = 0.0

    def at(self, stamp: float | None, came: float) -> float:
        """The time of the picture that the stream stamps so and that came at `came` of a clock that is never set."""
        if self._first_came is None:
            self._first_came = self._came = came
            self._stamp = stamp or 0.0
            self._shift = -self._stamp
            return 0.0
        elapsed = came - self._first_came
        if stamp is None:
            self._t = max(self._t, elapsed)
        else:
            if self._jumped(stamp, came) or elapsed - (stamp + self._shift) > LATE_S:
                self._shift = max(self._t, elapsed) - stamp
            self._t = max(self._t, stamp + self._shift)
            self._stamp = stamp
        self._came = came
        return self._t

    def _jumped(self, stamp: float, came: float) -> bool:
        step = stamp - self._stamp
        return step < -CLOCK_BACK_S or step - (came - self._came) > CLOCK_FORWARD_S


def paced(pictures: Iterable[tuple[float, P]], fps: float) -> Iterator[Sample[P]]:
    """Of pictures with their times, the first at or after every tick of a clock that ticks `fps` times a second.

    Unlike `sampled` it neither waits for the following picture nor repeats one that is held, which costs nobody any
    time; a tick without a picture is passed over. `t` is the picture's own time; numbers have no gaps.
    """
    due, frame = -math.inf, 0
    for t, picture in pictures:
        if t + ROUNDING_S >= due:
            yield Sample(frame, t, picture)
            frame += 1
            due = (math.floor((t + ROUNDING_S) * fps) + 1) / fps
