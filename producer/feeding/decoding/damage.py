"""Damage of a recording or a stream: which pictures are not as they were recorded. Pure.

A picture is damaged if its data is, if it is displayed in place of one that is lost, or if it follows a damaged or lost
one before the next key frame, because pictures are stored as differences from others.
"""

import heapq

from producer.feeding.decoding.sampling import ROUNDING_S


class Damage:
    """Follows a video from packet to packet and from picture to picture. Times are in seconds of the file's clock."""

    def __init__(self) -> None:
        self._expected: list[float] = []
        self._lost: list[float] = []
        self._last: float | None = None
        self._depends_on_damage = False

    def fed(self, t: float | None) -> None:
        """A packet goes to the decoder; its picture is to be displayed at `t`."""
        if t is not None:
            heapq.heappush(self._expected, t)

    def at(self, t: float | None) -> None:
        """What should be displayed at `t` is damaged or lost."""
        if t is None:
            self._depends_on_damage = True
        else:
            heapq.heappush(self._lost, t)

    def after(self, t: float) -> None:
        """Something is lost that should be displayed after `t` and after the last picture; it is not known when."""
        heapq.heappush(self._lost, max(t, self._last or 0.0) + 2 * ROUNDING_S)

    def came(self, stamp: float, t: float) -> None:
        """The picture with this stamp, which may be wrong, is displayed at `t`. Nothing more is expected at `stamp`."""
        if stamp > t + ROUNDING_S and stamp in self._expected:
            self._expected.remove(stamp)
            heapq.heapify(self._expected)

    def displayed(self, t: float, key: bool, corrupt: bool, usual: float) -> tuple[float | None, bool]:
        """The next picture: from when on the one before it stands in for a lost one, and whether it is damaged itself.

        `key` says that it depends on no other picture, `corrupt` that the decoder found errors in it. `usual` is the
        usual distance of two pictures in seconds, 0 if it is unknown.
        """
        missing = _taken(self._expected, t - ROUNDING_S)
        if self._last is not None and 0 < 1.5 * usual < t - self._last:
            # Without a hole, a packet without a picture is normal: half a picture, or one that is not for display.
            for each in missing:
                heapq.heappush(self._lost, each)
        lost = _taken(self._lost, t - ROUNDING_S)
        stands_in_from = None
        if lost and self._last is not None:
            self._depends_on_damage = True
            stands_in_from = max(lost[0], self._last + usual)
        damaged = bool(_taken(self._lost, t + ROUNDING_S)) or corrupt
        _taken(self._expected, t + ROUNDING_S)
        if damaged or key:
            self._depends_on_damage = damaged
        self._last = t
        return stands_in_from if stands_in_from is not None and stands_in_from < t else None, self._depends_on_damage

    @property
    def lost_at_the_end(self) -> bool:
        """After the last picture: whether any should have followed."""
        return any(self._last is None or t > self._last + ROUNDING_S for t in self._expected + self._lost)


def _taken(times: list[float], until: float) -> list[float]:
    """Take all times before `until` from the heap, in order."""
    taken = []
    while times and times[0] < until:
        taken.append(heapq.heappop(times))
    return taken
