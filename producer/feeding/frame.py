"""A frame of a lecture, on its way from its source to the workers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SampledFrame:
    """A frame as it is fed: number from 0 without gaps, seconds from the first one, JPEG upright."""

    frame: int
    t: float
    jpeg: bytes
