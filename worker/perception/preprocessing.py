"""From a picture to what a network sees. Serving, training and evaluation all go through here.

One definition, because accuracy hangs on it: a network meets the framing, the size and the colour it was trained on.
"""

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""A picture, [height, width, 3], BGR, as OpenCV has it."""

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels; may reach beyond the picture."""

Colour = Literal["grey", "rgb"]

CHANNELS: dict[Colour, int] = {"grey": 1, "rgb": 3}

# The square that a network sees has sides of this many times BlazeFace's box, and its middle lies this share of the box
# higher: the framing of FER-2013. Measured on 1,500 of its training pictures with BlazeFace itself: picture side over
# box 1.18 (10th to 90th percentile 1.00 to 1.52), middle 0.09 higher (-0.03 to 0.18). RAF-DB: 1.02 and 0.05.
CROP_SCALE = 1.18
CROP_RISE = 0.09


def face_crop(image: Image, box: Box) -> Image:
    """The square around a detected face, [side, side, 3]; where it leaves the picture the edge is repeated."""
    x, y, w, h = box
    side = max(2, round(max(w, h) * CROP_SCALE))
    return padded_square(image, round(x + w / 2 - side / 2), round(y + h / 2 - h * CROP_RISE - side / 2), side)


def padded_square(image: Image, left: int, top: int, side: int) -> Image:
    """The pixels [side, side, channels] at `left`, `top`, which may lie outside; the picture's edge is repeated there.

    A view of `image` where the square lies inside; ValueError where it lies wholly outside.
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
    """Scale to [size, size, channels] and convert the colour; grey has one channel, values stay 0 to 255."""
    shrinking = min(picture.shape[:2]) > size
    scaled = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
    if colour == "grey":
        return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_BGR2GRAY)[..., np.newaxis], np.uint8)
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_BGR2RGB), np.uint8)
