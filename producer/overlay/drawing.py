"""Draws sightings into a picture: a box in the colour of the emotion, dashed grey if the face could not be read."""

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from producer.overlay.sightings import Sighting
from producer.presentation.palette import COLOURS

Picture = npt.NDArray[np.uint8]

UNREADABLE = "#c8ccd2"

# Letters are this part of the picture's height, and at least SMALLEST pixels high.
LETTER = 1 / 45
SMALLEST = 11
DASH = 8
PADDING = 3
BRIGHT = 140  # of 255: on colours brighter than this, letters are black


def draw(picture: Picture, sightings: Sequence[Sighting], size: tuple[int, int]) -> None:
    """Draw into `picture` [height, width, 3], BGR. Boxes are in pixels of a picture with this `size`."""
    height, width = picture.shape[:2]
    across, down = width / size[0], height / size[1]
    letter = max(SMALLEST, round(height * LETTER))
    for box, label, emotion in sightings:
        left, top = round(box[0] * across), round(box[1] * down)
        right, bottom = round((box[0] + box[2]) * across), round((box[1] + box[3]) * down)
        colour = _bgr(COLOURS.get(emotion, UNREADABLE) if emotion else UNREADABLE)
        thickness = max(2, letter // 6)
        if emotion:
            cv2.rectangle(picture, (left, top), (right, bottom), colour, thickness)
        else:
            _dashed(picture, (left, top, right, bottom), colour, thickness)
        _paste(picture, _label(label, letter, colour), left, top)


def _dashed(picture: Picture, corners: tuple[int, int, int, int], colour: tuple[int, int, int], thickness: int) -> None:
    left, top, right, bottom = corners
    for x in range(left, right, 2 * DASH):
        for y in (top, bottom):
            cv2.line(picture, (x, y), (min(x + DASH, right), y), colour, thickness)
    for y in range(top, bottom, 2 * DASH):
        for x in (left, right):
            cv2.line(picture, (x, y), (x, min(y + DASH, bottom)), colour, thickness)


def _paste(picture: Picture, label: Picture, left: int, top: int) -> None:
    """Put `label` above the point, or below where there is no room, inside the picture."""
    height, width = (min(each) for each in zip(label.shape[:2], picture.shape[:2], strict=True))
    x = min(max(left, 0), picture.shape[1] - width)
    y = min(top - height if top >= height else max(top, 0), picture.shape[0] - height)
    picture[y : y + height, x : x + width] = label[:height, :width]


@lru_cache(maxsize=4096)
def _label(text: str, letter: int, colour: tuple[int, int, int]) -> Picture:
    """The text on its colour, [height, width, 3]. Pillow draws it, because OpenCV has only ASCII letters."""
    font = _font(letter)
    left, _, right, _ = font.getbbox(text)
    size = (round(right - left) + 2 * PADDING, letter + 2 * PADDING)
    image = Image.new("RGB", size, colour)  # the order of colours stays BGR
    blue, green, red = colour
    ink = (0, 0, 0) if 0.114 * blue + 0.587 * green + 0.299 * red > BRIGHT else (255, 255, 255)
    ImageDraw.Draw(image).text((PADDING - left, size[1] / 2), text, ink, font, anchor="lm")
    return np.asarray(image)


@lru_cache
def _font(letter: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """DejaVu Sans, which has the letters of most European languages: of the system, or from OpenCV's package."""
    for place in ("DejaVuSans.ttf", str(Path(cv2.__file__).parent / "qt" / "fonts" / "DejaVuSans.ttf")):
        with suppress(OSError):
            return ImageFont.truetype(place, letter)
    return ImageFont.load_default(letter)


def _bgr(code: str) -> tuple[int, int, int]:
    return int(code[5:7], 16), int(code[3:5], 16), int(code[1:3], 16)
