"""Appearance descriptors: the appearance of a face and its surroundings, in 248 bytes.

The descriptors of two participants differ. Those of one hardly change with the expression. A descriptor consists
of a grid of mean colours over the face and the room beside it, and of the shape of the face: histograms of the
directions of its edges (Dalal and Triggs, Histograms of oriented gradients, 2005). Colours distinguish participants
in the same light. The shape hardly depends on brightness, contrast, colour of the light and background. It is too
coarse to recognise a person among many. docs/tracking.md has the measurements.
"""

import cv2
import numpy as np
import numpy.typing as npt

from worker.perception.preprocessing import Box, Image
from worker.perception.scales import Scales

# The colour grid: cells, and its area in face widths. It is wide, because the room beside the head belongs to the
# person. It is low, because the neighbours' tiles begin above and below. Its centre is COLOURS_RISE above the face's,
# to cover hair.
COLUMNS, ROWS = 8, 5
COLOURS_ACROSS, COLOURS_DOWN, COLOURS_RISE = 2.8, 1.6, 0.2
COLOURS_PIXELS = 64  # the area is first shrunk, to at least this side

# Light changes more than colour. This share of the area's mean lightness is subtracted, and the rest counts half.
_LIGHTNESS_REMOVED = 0.7
_LIGHTNESS_WEIGHT = 0.5

# The shape: a histogram of DIRECTIONS in each of CELLS x CELLS cells of a square of SHAPE_SIDE face widths, which is
# first scaled to SHAPE_PIXELS.
SHAPE_SIDE = 1.5
SHAPE_PIXELS = 32
CELLS = 4
DIRECTIONS = 8
_DARK = 10.0  # grey levels added before the logarithm, so that noise in the dark stays small
_SHAPE_SCALE = 400.0  # makes the values of a shape use the range of a byte
_PIXELS = np.arange(SHAPE_PIXELS**2)


def descriptor(picture: Scales, box: Box) -> bytes:
    """The appearance of the face in `box` and of its surroundings, int8 values as bytes.

    COLUMNS * ROWS * 3 values of colours, and CELLS * CELLS * DIRECTIONS values of the shape.
    """
    values = np.concatenate([_colours(picture, box).ravel(), _shape(picture, box).ravel()])
    return bytes(np.clip(np.rint(values), -127, 127).astype(np.int8))


def _colours(picture: Scales, box: Box) -> npt.NDArray[np.float32]:
    """Mean colours [ROWS, COLUMNS, 3] in L*a*b* of an area around the box."""
    square = _square(picture, box, COLOURS_ACROSS, COLOURS_RISE, at_least=COLOURS_PIXELS)
    cut = round(len(square) * (1 - COLOURS_DOWN / COLOURS_ACROSS) / 2)
    small = cv2.resize(square[cut : len(square) - cut], (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)
    colours = np.asarray(cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_BGR2LAB), np.float32)
    colours[..., 0] -= _LIGHTNESS_REMOVED * colours[..., 0].mean()
    colours[..., 0] *= _LIGHTNESS_WEIGHT
    return colours


def _shape(picture: Scales, box: Box) -> npt.NDArray[np.float32]:
    """Histograms of gradient directions [CELLS, CELLS, DIRECTIONS], of length _SHAPE_SCALE.

    Gradients are those of the logarithm of the lightness: a change of exposure does not change them, a change of gamma
    multiplies all of them.
    """
    square = _square(picture, box, SHAPE_SIDE, at_least=2 * SHAPE_PIXELS)
    small = cv2.resize(square, (SHAPE_PIXELS, SHAPE_PIXELS), interpolation=cv2.INTER_AREA)
    grey = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32), (3, 3), 0)
    light = np.log(grey + _DARK)
    strength, angle = cv2.cartToPolar(cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1))
    direction = angle.ravel() * (DIRECTIONS / (2 * np.pi))
    # A gradient counts for the two nearest directions.
    lower = direction.astype(np.int32)
    to_upper = strength.ravel() * (direction - lower)
    shares = np.zeros((SHAPE_PIXELS**2, DIRECTIONS), np.float32)
    shares[_PIXELS, lower % DIRECTIONS] = strength.ravel() - to_upper
    shares[_PIXELS, (lower + 1) % DIRECTIONS] = to_upper
    shares = shares.reshape(SHAPE_PIXELS, SHAPE_PIXELS, DIRECTIONS)
    cells = np.sqrt(cv2.resize(shares, (CELLS, CELLS), interpolation=cv2.INTER_AREA))
    return np.asarray(_SHAPE_SCALE * cells / max(float(np.linalg.norm(cells)), 1e-6), np.float32)


def _square(picture: Scales, box: Box, across: float, rise: float = 0.0, *, at_least: int) -> Image:
    """The square of `across` face widths around the box, with its centre `rise` face widths higher.

    It is shrunk, but not below `at_least` pixels.
    """
    x, y, w, h = box
    face = max(w, h)
    side = max(COLUMNS, round(face * across))
    left, top = round(x + w / 2 - side / 2), round(y + h / 2 - face * rise - side / 2)
    return picture.square(left, top, side, at_least)[0]
