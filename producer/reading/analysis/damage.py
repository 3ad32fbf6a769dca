"""Where the pictures of a lecture are damaged."""

from producer.presentation.clock import clock
from worker.contract.messages import ClassEvent, Event

LISTED_STRETCHES = 5


class DamagedFrames:
    """Counts the damaged frames of a lecture and finds their stretches. Its size grows with the stretches."""

    def __init__(self) -> None:
        self.count = 0
        self._frames = 0
        self._stretches: list[tuple[float, float]] = []
        self._before = False

    def add(self, event: Event) -> None:
        """The next event of the lecture; only class events count."""
        if not isinstance(event, ClassEvent):
            return
        damaged = event.damaged is True
        self._frames += 1
        self.count += damaged
        if damaged:
            begun = self._stretches.pop()[0] if self._before else event.t
            self._stretches.append((begun, event.t))
        self._before = damaged

    def line(self) -> str:
        """How many frames are damaged, and where, in one line."""
        listed = [f"at {clock(a)}" if a == b else f"{clock(a)} to {clock(b)}" for a, b in self._stretches]
        more = len(listed) - LISTED_STRETCHES
        if more > 0:
            listed[LISTED_STRETCHES:] = [f"and {more} more stretches"]
        return f"the pictures of {self.count} of {self._frames} frames are damaged: {', '.join(listed)}"
