"""A picture of a lecture, on its way from its source to the workers."""

import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SampledFrame:
    """A sampled frame: its number, counted from 0 without gaps, its media time in seconds, and its upright JPEG.

    If a lecture has several recordings, this is one recording's picture of the frame, and all pictures of a frame
    follow each other. `participant` is then the person of that recording, `size` its width and height in pixels as
    displayed. If it is `damaged`, the picture is not as it was recorded. `taken` is the arrival time from the source,
    in seconds since 1970.
    """

    frame: int
    t: float
    jpeg: bytes
    participant: str | None = None
    size: tuple[int, int] | None = None
    damaged: bool = False
    taken: float = field(default_factory=time.time, compare=False)
