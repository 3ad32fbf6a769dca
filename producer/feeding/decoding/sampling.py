"""Which pictures of a recording are looked at: the one on display at every tick of a regular clock."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

MAX_FPS = 60.0
"""Frames a second; expressions move slower than any camera, so more would only cost."""

# Matroska and FLV round their times to milliseconds: a picture meant for 0.0667 s is stamped 0.067 s.
ROUNDING_S = 0.001

P = TypeVar("P")


@dataclass(frozen=True)
class TimedPicture(Generic[P]):
    """A picture, the media time in seconds at which it comes on display, and how long it stays if nothing follows."""

    t: float
    duration: float
    picture: P


@dataclass(frozen=True)
class Sample(Generic[P]):
    """The picture on display at `t` = `frame` / fps seconds after the first one came on."""

    frame: int
    t: float
    picture: P


def checked_fps(fps: float) -> float:
    """`fps`, if a recording can be sampled so often a second; ValueError that says what can, if not."""
    if not (math.isfinite(fps) and 0 < fps <= MAX_FPS):
        raise ValueError(f"fps {fps:g} is out of range: give more than 0 and at most {MAX_FPS:g} frames a second")
    return fps


def sampled(pictures: Iterable[TimedPicture[P]], fps: float) -> Iterator[Sample[P]]:
    """Sample and hold: for k = 0, 1, 2, ... the last picture that came on at or before k / fps, to ROUNDING_S.

    `pictures` are in the order of display, at any rate; times count from the first. A picture that stays on for long
    is given repeatedly, the last one for its duration; numbers have no gaps. Any picture at all gives one sample.
    Reads one picture ahead, no more.
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
    """How many samples `duration` seconds of video give: duration * fps rounded up, and at least one."""
    return max(1, math.ceil((duration - ROUNDING_S) * fps))
