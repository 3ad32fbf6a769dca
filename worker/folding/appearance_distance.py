"""The distance of two appearance descriptors, and their average.

A descriptor (`perception.appearance` makes it) has COLOURS values of colours around the face, and then values of the
face's shape. Light and background change the colours, but hardly the shape. docs/tracking.md has the measurements.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

COLOURS = 120

# Colours and shapes of two people differ by at least 1, for nine of ten pairs.
COLOUR_UNIT = 6.6
SHAPE_UNIT = 11.4

# Colours count up to MAX_COLOUR_DISTANCE, so that a participant in another light or in front of another wall can still
# be matched. The shape counts SHAPE_WEIGHT times.
MAX_COLOUR_DISTANCE = 2.0
SHAPE_WEIGHT = 2.0


class Distances(NamedTuple):
    """Distances between two sets of descriptors, each [len(some), len(others)]."""

    both: npt.NDArray[np.float32]
    shape: npt.NDArray[np.float32]


def distances(some: Sequence[bytes], others: Sequence[bytes]) -> Distances:
    """Distances between two sets of descriptors: of colours and shape together, and of the shape alone.

    The distance of colours is the square of the mean of the roots of their differences. The roots give many small
    differences more weight than a few large ones, such as a hand in front of the face. The distance of shapes is the
    mean difference.
    """
    difference = np.abs(_values(some)[:, np.newaxis] - _values(others)[np.newaxis])
    shapes = difference.shape[2] - COLOURS
    colours = (np.sqrt(difference[..., :COLOURS]).sum(axis=2) / COLOURS) ** 2 / COLOUR_UNIT
    shape = difference[..., COLOURS:].sum(axis=2) / (shapes * SHAPE_UNIT)
    return Distances(np.minimum(colours, MAX_COLOUR_DISTANCE) + SHAPE_WEIGHT * shape, shape)


def blended(before: bytes, now: bytes, share: float) -> bytes:
    """The descriptor `before`, moved towards `now` by `share` of the way."""
    a, b = _values([before, now])
    return bytes(np.rint((1 - share) * a + share * b).astype(np.int8))


def _values(descriptors: Sequence[bytes]) -> npt.NDArray[np.float32]:
    return np.frombuffer(b"".join(descriptors), np.int8).reshape(len(descriptors), -1).astype(np.float32)
