"""The part of a recording that is read (`--from`, `--to`). Pure."""

import math
from typing import NamedTuple

from producer.presentation.clock import clock

# Part of a sampling step. A time that is a multiple of the step may be a little larger as a floating-point number.
SLACK = 1e-6


class Excerpt(NamedTuple):
    """From `begin` to `end`, in seconds from the start of the file; None for its own begin or end."""

    begin: float | None = None
    end: float | None = None

    def __str__(self) -> str:
        return f"from {clock(self.begin or 0.0)}" + (f" to {clock(self.end)}" if self.end is not None else "")

    @property
    def whole(self) -> bool:
        return self == (None, None)

    def first_tick(self, fps: float) -> int:
        """The first sample that is not before `begin`."""
        return 0 if self.begin is None else math.ceil(self.begin * fps - SLACK)

    def end_tick(self, fps: float) -> float:
        """The first sample that is not before `end`."""
        return math.inf if self.end is None else math.ceil(self.end * fps - SLACK)


WHOLE = Excerpt()
