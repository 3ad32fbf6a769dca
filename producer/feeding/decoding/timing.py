"""The time of each picture of a recording: from the stamps in the file, which may be wrong, restart, or be missing."""

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Generic, TypeVar

from producer.feeding.decoding.sampling import ROUNDING_S, TimedPicture

# A picture that comes this much later than the end of the one before may have a wrong stamp.
DOUBTFUL_S = 0.1

# The number of pictures after a doubtful one that are read to find out whether its stamp is right.
WITNESSES = 8

# A larger step back, if it is real, is not jitter: recordings were joined, or broadcast with a break, and the clock
# restarted.
CLOCK_BACK_S = 1.0

# In some containers FFmpeg takes a restarted clock for an overflow and reports a step forward by 26 hours. In others a
# large step is a picture that is displayed for long. The ffmpeg program uses the same 10 s (-dts_delta_threshold).
CLOCK_FORWARD_S = 10.0

P = TypeVar("P")


def seconds(count: int, unit: Fraction) -> float:
    """A stamp or duration of `count` units, in seconds. As exact as Fraction's product, and several times faster."""
    return count * unit.numerator / unit.denominator


@dataclass(frozen=True)
class StampedPicture(Generic[P]):
    """A decoded picture, in the order of display. `stamp` (None if there is none) and `duration` are in seconds."""

    stamp: float | None
    duration: float
    picture: P


class PictureClock:
    """Makes one clock out of the stamps of a recording. It begins at 0, when the file's own clock shows `start`.

    If `start` is None, it begins with the first picture. With `breaks`, a step forward of more than CLOCK_FORWARD_S is
    a restart. `declared_end` is when the file ends on its own clock, if known; no last picture comes long after it.
    """

    def __init__(self, start: float | None, breaks: bool = False, declared_end: float | None = None) -> None:
        self._starts_with_picture = start is None
        self.shift = -(start or 0.0)
        """Seconds to be added to a stamp. It grows where the file's clock restarts."""
        self._breaks = breaks
        self._declared_end = float("inf") if declared_end is None else declared_end + self.shift
        self._last: float | None = None
        self.end = 0.0
        """When the last picture ends."""
        self.sound_end = 0.0
        """When the sound that was read until now ends. The last picture may be displayed until then."""
        self.restarted = False
        """Whether the file's clock has restarted."""

    def timed(self, pictures: Iterable[StampedPicture[P]]) -> Iterator[TimedPicture[P]]:
        """The pictures with their times, which never decrease. Reads at most WITNESSES pictures ahead."""
        source = iter(pictures)
        ahead: deque[StampedPicture[P]] = deque()
        while True:
            ahead.extend(islice(source, 0 if ahead else 1))
            if not ahead:
                return
            if self._last is None and self._starts_with_picture:
                self.shift = -(ahead[0].stamp or 0.0)
            if self._is_doubtful(ahead[0]):
                ahead.extend(islice(source, WITNESSES + 1 - len(ahead)))
            picture = ahead.popleft()
            t = self._time_of(picture, [self._on_clock(other) for other in ahead])
            self._last, self.end = t, t + picture.duration
            yield TimedPicture(t, picture.duration, picture.picture)

    def _on_clock(self, picture: StampedPicture[P]) -> float | None:
        return None if picture.stamp is None else picture.stamp + self.shift

    def _is_doubtful(self, picture: StampedPicture[P]) -> bool:
        t = self._on_clock(picture)
        return t is not None and not (self._last or 0.0) <= t <= self.end + picture.duration + DOUBTFUL_S

    def _time_of(self, picture: StampedPicture[P], witnesses: list[float | None]) -> float:
        t, last = self._on_clock(picture), self._last or 0.0
        if t is None:
            return max(last, self.end)
        if not self._is_doubtful(picture):
            return t
        # The witnesses whose stamps continue from the last picture, but not from this one.
        against = [
            (number, other)
            for number, other in enumerate(witnesses, 1)
            if other is not None and last <= other + ROUNDING_S and (other < t or t < last)
        ]
        if len(against) * 2 > len(witnesses):
            number, other = against[0]
            return last + max(0.0, other - last) / (number + 1)
        if not witnesses and t > self._declared_end + CLOCK_FORWARD_S:
            return self.end
        broken = self._breaks and self._last is not None and t > max(self.end, self.sound_end) + CLOCK_FORWARD_S
        if broken or t < last - CLOCK_BACK_S:
            self.shift += self.end - t
            self.restarted = True
            return self.end
        return max(last, t)


class DecodingStamps:
    """Stamps of a container that says when a picture is decoded, and not when it is displayed.

    Decoders reorder pictures, so the pictures in the order of display get the stamps in their own order.
    """

    def __init__(self) -> None:
        self._waiting: list[float] = []

    def fed(self, stamp: float | None) -> None:
        """A packet with this stamp goes to the decoder."""
        if stamp is not None:
            heapq.heappush(self._waiting, stamp)

    def failed(self, stamp: float | None) -> None:
        """The packet with this stamp gives no picture."""
        if stamp in self._waiting:
            self._waiting.remove(stamp)
            heapq.heapify(self._waiting)

    def displayed(self, own: float | None, key: bool) -> float | None:
        """The stamp of the next picture on display, whose packet had the stamp `own`; None if no packet had one.

        All pictures that were decoded before a `key` frame are displayed before it, so stamps left over from them are
        of lost pictures.
        """
        while key and own is not None and self._waiting and self._waiting[0] < own:
            heapq.heappop(self._waiting)
        return heapq.heappop(self._waiting) if self._waiting else own
