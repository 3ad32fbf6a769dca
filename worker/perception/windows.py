"""The windows in which a picture is searched for faces, and which of them have changed."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from worker.perception.preprocessing import Box
from worker.perception.scales import DEEPEST, Scales

# Windows are squares of these shares of the frame's shorter side, half a window apart: 24 windows at 16:9. If a
# detected face is smaller than SMALL_FACE of the smallest window, other faces may be too small to be detected. Then the
# frame is also searched in 50 finer windows.
COARSE_SHARES = (1.0, 0.5)
FINE_SHARES = (1 / 3,)
SMALL_FACE = 0.15

# In the next frame, a detected face is searched in a window. The face takes at least FOLLOW_SHARE of the window's side
# and has a free margin of FOLLOW_MARGIN face widths. Neighbours share a window. docs/tracking.md has the measurements.
FOLLOW_SHARE = 0.16
FOLLOW_MARGIN = 0.3

# A window is searched again if its grey levels changed by CHANGED_LEVELS on average. Known faces and their bodies are
# left out: BODY_ASIDE face widths beside each face, and BODY_ABOVE and BODY_BELOW face heights above and below it.
CHANGED_LEVELS = 2.0
BODY_ASIDE = 1.0
BODY_ABOVE = 0.75
BODY_BELOW = 3.0


class Window(NamedTuple):
    """A square part of the picture, in pixels."""

    x: int
    y: int
    side: int


class Thumbnail(NamedTuple):
    """A small copy of a window: grey pixels [rows, columns], and a mask that is 0 where people are known, else 1."""

    pixels: npt.NDArray[np.uint8]
    unknown: npt.NDArray[np.uint8]


def windows(width: int, height: int, shares: Sequence[float] = COARSE_SHARES) -> list[Window]:
    """The windows in which a picture of this size is searched, the largest first."""
    return [
        Window(x, y, side)
        for side in (max(1, round(min(width, height) * share)) for share in shares)
        for y in _starts(height, side)
        for x in _starts(width, side)
    ]


def windows_around(faces: Sequence[Box]) -> list[Window]:
    """Windows in which these faces can be found again. A greedy choice keeps their number small."""
    if not faces:
        return []
    boxes = np.asarray(faces, np.float32)
    sizes = boxes[:, 2:].max(axis=1)
    margins = (FOLLOW_MARGIN * sizes)[:, np.newaxis]
    left_top, right_bottom = boxes[:, :2] - margins, boxes[:, :2] + boxes[:, 2:] + margins
    # One possible window for every pair of faces: its left edge is the margin of the first face, its upper edge the
    # margin of the second.
    one, other = (index.ravel() for index in np.indices((len(faces), len(faces))))
    sides = np.minimum(sizes[one], sizes[other]) / FOLLOW_SHARE
    corners = np.stack([left_top[one, 0], left_top[other, 1]], axis=1)
    covered = (
        (left_top >= corners[:, np.newaxis]).all(axis=2)
        & (right_bottom <= (corners + sides[:, np.newaxis])[:, np.newaxis]).all(axis=2)
        & (sizes >= FOLLOW_SHARE * sides[:, np.newaxis] * (1 - 1e-5))
    )
    chosen = []
    left = np.ones(len(faces), bool)
    while left.any():
        best = int((covered & left).sum(axis=1).argmax())
        those = covered[best] & left
        middle = (left_top[those].min(axis=0) + right_bottom[those].max(axis=0)) / 2
        x, y = np.rint(middle - sides[best] / 2)
        chosen.append(Window(int(x), int(y), round(float(sides[best]))))
        left &= ~those
    return chosen


def _starts(length: int, side: int) -> list[int]:
    """Where windows of `side` begin: evenly, at most half a window apart, the last one at the end of the picture."""
    steps = math.ceil((length - side) / (side / 2)) if length > side else 0
    return [round(i * (length - side) / steps) for i in range(steps + 1)] if steps else [0]


def thumbnails(image: Scales, chosen: list[Window], people: Sequence[Box]) -> dict[Window, Thumbnail]:
    """The thumbnail of each window, with `people` masked."""
    small = np.asarray(cv2.cvtColor(image.copy(DEEPEST), cv2.COLOR_BGR2GRAY), np.uint8)
    unknown = np.ones(small.shape, np.uint8)
    k = 2**DEEPEST
    for x, y, w, h in people:
        top, bottom = (y - BODY_ABOVE * h) / k, (y + (1 + BODY_BELOW) * h) / k
        left, right = (x - BODY_ASIDE * w) / k, (x + (1 + BODY_ASIDE) * w) / k
        unknown[max(0, round(top)) : max(0, round(bottom)), max(0, round(left)) : max(0, round(right))] = 0
    return {
        w: Thumbnail(small[part], unknown[part])
        for w in chosen
        for part in [np.s_[w.y // k : (w.y + w.side) // k + 1, w.x // k : (w.x + w.side) // k + 1]]
    }


def has_changed(before: Thumbnail, now: Thumbnail) -> bool:
    return cv2.norm(before.pixels, now.pixels, cv2.NORM_L1, now.unknown) > CHANGED_LEVELS * now.pixels.size
