"""How a player displays a picture: turned and mirrored by the display matrix, and with square pixels. Pure."""

import struct
from fractions import Fraction
from typing import NamedTuple

from worker.contract.limits import MAX_FRAME_PIXELS

# Pixels of real formats are at most 2.7 times as wide as high, or as high as wide. Files that declare more are wrong.
MAX_PIXEL_ASPECT = 4

# The largest side that the contract allows (PixelCount).
MAX_SIDE = 2**16


class Orientation(NamedTuple):
    """What makes a picture upright: first rows and columns are exchanged, then it is mirrored along either axis."""

    transposed: bool = False
    mirrored: bool = False  # left and right
    flipped: bool = False  # top and bottom


def orientation_of(matrix: bytes) -> Orientation:
    """The orientation, of eight, that is nearest to a display matrix: nine int32 in native order, as FFmpeg has them.

    Of (a, b, u, c, d, v, x, y, w) only a to d matter: a point (x, y) is displayed at (ax + cy, bx + dy). A matrix that
    displays nothing, because it has no inverse, counts as none.
    """
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix)
    if a * d == b * c:
        return Orientation()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, a < 0, d < 0)
    return Orientation(True, c < 0, b < 0)


def displayed_size(width: int, height: int, pixel_aspect: Fraction | None) -> tuple[int, int]:
    """The size of a stored picture with square pixels, before it is turned; no side becomes smaller.

    `pixel_aspect` is the width of a stored pixel by its height. If it is unknown or not plausible, it counts as 1.
    """
    if not pixel_aspect or not Fraction(1, MAX_PIXEL_ASPECT) <= pixel_aspect <= MAX_PIXEL_ASPECT:
        return width, height
    wide, high = max(pixel_aspect, Fraction(1)), max(1 / pixel_aspect, Fraction(1))
    displayed = round(width * wide), round(height * high)
    if max(displayed) > MAX_SIDE or displayed[0] * displayed[1] > MAX_FRAME_PIXELS:
        return width, height
    return displayed
