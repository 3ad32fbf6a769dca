"""Live streams: the time of each picture, and which pictures become frames."""

import math
from collections.abc import Iterable, Iterator
from typing import TypeVar

from producer.feeding.decoding.sampling import ROUNDING_S, Sample, TimedPicture

# If the stream's clock steps back by more than this, it restarted. Smaller steps are jitter.
CLOCK_BACK_S = 1.0

# If the stream's clock advances by this much more than the wall clock from one picture to the next, it jumped.
CLOCK_FORWARD_S = 10.0

# If a picture comes this much later than its stamp says, the stream's clock stood still, because the sender did. The
# network delays a picture by less.
LATE_S = 10.0

P = TypeVar("P")


class StreamClock:
    """The time of a picture in seconds since the first, by the stream's own clock as long as that is plausible.

    The arrival time is worse, because the network delivers in bursts, HLS a whole segment at once. If the stream's
    clock jumps, stands still or is missing, the wall clock replaces it. The time never decreases.
    """

    def __init__(self) -> None:
        self._first_came: float | None = None
        self._came = 0.0
        self._stamp = 0.0
        self._shift = 0.0
        self._t = 0.0

    def at(self, stamp: float | None, came: float) -> float:
        """The time of a picture with this `stamp` of the stream. It `came` at this time of a monotonic clock."""
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


def paced(pictures: Iterable[TimedPicture[P]], fps: float) -> Iterator[Sample[P]]:
    """The first picture at or after every tick of a clock with `fps` ticks per second.

    Unlike `sampled` it does not wait for the following picture and does not repeat one; ticks without a picture are
    skipped. `t` is the picture's own time. Numbers have no gaps.
    """
    due, number = -math.inf, 0
    for shown in pictures:
        if shown.t + ROUNDING_S >= due:
            yield Sample(number, shown.t, shown.picture, shown.damaged)
            number += 1
            due = (math.floor((shown.t + ROUNDING_S) * fps) + 1) / fps
