"""A picture of a lecture, on its way from its source to the workers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SampledFrame:
    """A frame as it is fed: number from 0 without gaps, seconds from the first one, JPEG upright.

    Of a lecture of several recordings, one recording's picture of the frame, those of a frame one after the other:
    `participant` is whose recording it is, and `size` how wide and high that is in pixels as displayed.
    """

    frame: int
    t: float
    jpeg: bytes
    participant: str | None = None
    size: tuple[int, int] | None = None
