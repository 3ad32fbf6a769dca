"""Recordings: the picture on display at every tick of a regular clock becomes a frame."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

MAX_FPS = 60.0
"""Frames per second. Expressions change more slowly than any camera samples."""

# Matroska and FLV round their times to milliseconds: a picture meant for 0.0667 s is stamped 0.067 s.
ROUNDING_S = 0.001

P = TypeVar("P")


@dataclass(frozen=True)
class TimedPicture(Generic[P]):
    """A picture, the media time in seconds at which it is displayed, and how long it stays if nothing follows."""

    t: float
    duration: float
    picture: P


@dataclass(frozen=True)
class Sample(Generic[P]):
    """The picture on display at `t` = `frame` / fps seconds after the first one appeared."""

    frame: int
    t: float
    picture: P


def checked_fps(fps: float) -> float:
    """`fps`, if it is a possible sampling rate; ValueError with the range if not."""
    if not (math.isfinite(fps) and 0 < fps <= MAX_FPS):
        raise ValueError(f"fps {fps:g} is out of range: give more than 0 and at most {MAX_FPS:g} frames per second")
    return fps


def sampled(pictures: Iterable[TimedPicture[P]], fps: float) -> Iterator[Sample[P]]:
    """Sample and hold: for k = 0, 1, 2, ... the last picture that appeared at or before k / fps (plus ROUNDING_S).

    `pictures` are in the order of display, at any rate; times count from the first. A picture that stays long is
    repeated, the last one for its duration. Numbers have no gaps. A single picture gives one sample. Reads one picture
    ahead.
    """
    ahead = iter(pictures)
    shown = next(ahead, None)
    if shown is None:
        return
    start, frame = shown.t, 0
    for following in ahead:
        while frame / fps + ROUNDING_S < following.t - start:
            yield Sample(frame, frame / fps, shown.picture)
            frame += 1
        shown = following
    for last in range(frame, max(frame, sample_count(shown.t - start + shown.duration, fps))):
        yield Sample(last, last / fps, shown.picture)


def sample_count(duration: float, fps: float) -> int:
    """The number of samples in `duration` seconds of video: duration * fps rounded up, and at least one."""
    return max(1, math.ceil((duration - ROUNDING_S) * fps))
