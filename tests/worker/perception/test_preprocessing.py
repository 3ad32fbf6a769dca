"""The input of a network, in training and in serving."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.perception.preprocessing import CROP_RISE, CROP_SCALE, Image, face_crop, network_pixels, padded_square


def numbered(width: int, height: int) -> Image:
    """A picture in which every pixel holds its column and its row."""
    rows, columns = np.mgrid[:height, :width]
    return np.asarray(np.stack([columns, rows, np.zeros_like(rows)], axis=-1), np.uint8)


@given(st.integers(-30, 100), st.integers(-30, 80), st.integers(1, 90))
def test_outside_the_picture_a_square_repeats_the_edge(left: int, top: int, side: int) -> None:
    picture = numbered(100, 80)
    if left + side <= 0 or top + side <= 0 or left >= 100 or top >= 80:
        with pytest.raises(ValueError, match="lies outside a picture of 100x80"):
            padded_square(picture, left, top, side)
        return
    square = padded_square(picture, left, top, side)
    assert square.shape == (side, side, 3)
    assert list(square[0, :, 0]) == [min(max(x, 0), 99) for x in range(left, left + side)]
    assert list(square[:, 0, 1]) == [min(max(y, 0), 79) for y in range(top, top + side)]


def test_a_face_is_cropped_like_the_training_pictures() -> None:
    crop = face_crop(numbered(200, 200), (50, 60, 80, 80))
    side = round(80 * CROP_SCALE)
    assert crop.shape == (side, side, 3)
    assert crop[0, 0, 0] == round(50 + 40 - side / 2)
    assert crop[0, 0, 1] == round(60 + 40 - 80 * CROP_RISE - side / 2)


@pytest.mark.parametrize(("colour", "channels"), [("grey", 1), ("rgb", 3)])
@pytest.mark.parametrize("size", [32, 96, 300])
def test_a_network_gets_its_size_and_colour(colour: str, channels: int, size: int) -> None:
    blue = np.zeros((100, 90, 3), np.uint8)
    blue[..., 0] = 200
    pixels = network_pixels(blue, size, colour)  # type: ignore[arg-type]  # parametrized
    assert pixels.shape == (size, size, channels)
    assert pixels[0, 0, -1] == (200 if colour == "rgb" else round(0.114 * 200))
