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
    """A picture, the media time in seconds at which it is displayed, and how long it stays if nothing follows.

    If it is `damaged`, it does not show what was recorded for this time.
    """

    t: float
    duration: float
    picture: P
    damaged: bool = False


@dataclass(frozen=True)
class Sample(Generic[P]):
    """The picture on display at `t` seconds.

    In a recording `t` is `tick` / fps. In a live stream `tick` counts the samples, and `t` is the picture's own time.
    """

    tick: int
    t: float
    picture: P
    damaged: bool = False


def checked_fps(fps: float) -> float:
    """`fps`, if it is a possible sampling rate; ValueError with the range if not."""
    if not (math.isfinite(fps) and 0 < fps <= MAX_FPS):
        raise ValueError(f"fps {fps:g} is out of range: give more than 0 and at most {MAX_FPS:g} frames per second")
    return fps


def sampled(pictures: Iterable[TimedPicture[P]], fps: float) -> Iterator[Sample[P]]:
    """Sample and hold: at every tick k the last picture that appeared at or before k / fps (plus ROUNDING_S).

    `pictures` are in the order of display, at any rate, with times from the start of the file. The first tick is
    `first_tick` of the first picture; there is no gap after it. A picture that stays long is repeated, the last one for
    its duration. There is at least one sample. Reads one picture ahead.
    """
    ahead = iter(pictures)
    shown = next(ahead, None)
    if shown is None:
        return
    tick = first = first_tick(shown.t, fps)
    for following in ahead:
        while tick / fps + ROUNDING_S < following.t:
            yield Sample(tick, tick / fps, shown.picture, shown.damaged)
            tick += 1
        shown = following
    for last in range(tick, max(first + 1, tick, sample_count(shown.t + shown.duration, fps))):
        yield Sample(last, last / fps, shown.picture, shown.damaged)


def first_tick(t: float, fps: float) -> int:
    """The tick of the first sample, if the first picture appears at `t` seconds.

    A video that starts less than a sampling step late starts at 0, because players show its first picture meanwhile.
    """
    late = (t - ROUNDING_S) * fps
    return math.ceil(late) if late >= 1 else 0


def sample_count(duration: float, fps: float) -> int:
    """The number of samples in `duration` seconds of video: duration * fps rounded up, and at least one."""
    return max(1, math.ceil((duration - ROUNDING_S) * fps))
