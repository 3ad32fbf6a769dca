"""A picture of a lecture, on its way from its source to the workers."""

import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SampledFrame:
    """A frame as it is fed: number from 0 without gaps, seconds from the first one, JPEG upright.

    Of a lecture of several recordings, one recording's picture of the frame, those of a frame one after the other:
    `participant` is whose recording it is, and `size` how wide and high that is in pixels as displayed. `taken` is when
    it came from its source, in seconds since 1970.
    """

    frame: int
    t: float
    jpeg: bytes
    participant: str | None = None
    size: tuple[int, int] | None = None
    taken: float = field(default_factory=time.time, compare=False)
