"""How a player displays a picture: orientation and pixel aspect."""

import struct
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.feeding.decoding.display import Orientation, displayed_size, orientation_of

ONE = 1 << 16
CORNERS = np.array([(-1, -1), (1, -1), (-1, 1), (1, 1)])


def matrix(a: int, b: int, c: int, d: int) -> bytes:
    return struct.pack("=9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)


def displayed(orientation: Orientation) -> list[tuple[int, int]]:
    """Where a picture's corners are displayed, if rows and columns are exchanged first and then mirrored."""
    corners = CORNERS[:, ::-1] if orientation.transposed else CORNERS
    return [(x * (-1 if orientation.mirrored else 1), y * (-1 if orientation.flipped else 1)) for x, y in corners]


@pytest.mark.parametrize(("one", "other"), list(product((-1, 1), repeat=2)))
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("scale", [1, 0.5, 3])
def test_the_corners_are_where_the_matrix_puts_them(one: int, other: int, transposed: bool, scale: float) -> None:
    a, b, c, d = (0, one, other, 0) if transposed else (one, 0, 0, other)
    found = orientation_of(matrix(*(round(value * ONE * scale) for value in (a, b, c, d))))
    assert displayed(found) == [(a * x + c * y, b * x + d * y) for x, y in CORNERS]


@pytest.mark.parametrize("entries", [(0, 0, 0, 0), (ONE, ONE, ONE, ONE), (-ONE, 0, 0, 0), (0, 0, -ONE, -ONE)])
def test_a_matrix_that_displays_nothing_counts_as_none(entries: tuple[int, int, int, int]) -> None:
    assert orientation_of(matrix(*entries)) == Orientation()


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=9, max_size=9))
def test_any_matrix_has_an_orientation(entries: list[int]) -> None:
    orientation_of(struct.pack("=9i", *entries))


@pytest.mark.parametrize(
    ("size", "aspect", "shown"),
    [
        ((640, 720), Fraction(2), (1280, 720)),
        ((720, 576), Fraction(64, 45), (1024, 576)),
        ((1280, 720), Fraction(1, 2), (1280, 1440)),
        ((1280, 720), None, (1280, 720)),
        ((1280, 720), Fraction(0), (1280, 720)),
        ((1280, 720), Fraction(1000), (1280, 720)),
        ((8192, 8192), Fraction(2), (8192, 8192)),
    ],
)
def test_pixels_become_square_unless_their_aspect_is_not_plausible(
    size: tuple[int, int], aspect: Fraction | None, shown: tuple[int, int]
) -> None:
    assert displayed_size(*size, aspect) == shown
