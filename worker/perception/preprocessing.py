"""From a picture to the input of a network. Serving, training and evaluation all use this module.

One definition for all, because accuracy depends on it: a network needs the framing, size and colour of its training.
"""

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""A picture, [height, width, 3], BGR as in OpenCV."""

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels; it may reach beyond the picture."""

Colour = Literal["grey", "rgb"]

CHANNELS: dict[Colour, int] = {"grey": 1, "rgb": 3}

# The crop has CROP_SCALE times the side of BlazeFace's box, and its centre is CROP_RISE of the box higher. This is the
# framing of FER-2013, measured with BlazeFace on 1,500 of its training pictures.
CROP_SCALE = 1.18
CROP_RISE = 0.09


def face_crop(image: Image, box: Box) -> Image:
    """The square around a detected face, [side, side, 3]. Outside the picture, its edge is repeated."""
    x, y, w, h = box
    side = max(2, round(max(w, h) * CROP_SCALE))
    return padded_square(image, round(x + w / 2 - side / 2), round(y + h / 2 - h * CROP_RISE - side / 2), side)


def padded_square(image: Image, left: int, top: int, side: int) -> Image:
    """The square [side, side, channels] at `left`, `top`. Outside the picture, its edge is repeated.

    Returns a view of `image` if the square lies inside; ValueError if it lies completely outside.
    """
    height, width = image.shape[:2]
    inside = image[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]
    if inside.shape[:2] == (side, side):
        return inside
    if inside.size == 0:
        raise ValueError(f"a square of {side} at {left},{top} lies outside a picture of {width}x{height}")
    missing = max(-top, 0), max(top + side - height, 0), max(-left, 0), max(left + side - width, 0)
    return np.asarray(cv2.copyMakeBorder(inside, *missing, cv2.BORDER_REPLICATE), np.uint8)


def network_pixels(picture: Image, size: int, colour: Colour) -> Image:
    """The picture scaled to [size, size, channels], in grey (one channel) or RGB (three), values 0 to 255."""
    shrinking = min(picture.shape[:2]) > size
    scaled = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
    if colour == "grey":
        return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_BGR2GRAY)[..., np.newaxis], np.uint8)
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_BGR2RGB), np.uint8)
