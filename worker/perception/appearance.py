"""Appearance descriptors: the appearance of a face and its surroundings, in 256 bytes.

Descriptors of different participants of a gallery differ, and hardly change with the expression. A descriptor consists
of a grid of mean colours over the face and the room beside it, and a coarse relief of the face. It is not biometric:
the same person in front of another wall has another descriptor. docs/tracking.md has the measurements.
"""

import cv2
import numpy as np
import numpy.typing as npt

from worker.perception.preprocessing import Box, Image, padded_square

GRID = 8

# The area of the colour grid, in face widths. It is wide, because the room beside the head belongs to the person. It is
# low, because the neighbours' tiles begin above and below. Its centre is COLOURS_RISE above the face's, to cover hair.
COLOURS_ACROSS, COLOURS_DOWN, COLOURS_RISE = 2.8, 1.6, 0.2
RELIEF_SIDE = 1.5

# Light changes more than colour. This share of the area's mean lightness is subtracted, and the rest counts half.
_LIGHTNESS_REMOVED = 0.7
_LIGHTNESS_WEIGHT = 0.5

# One standard deviation of the relief has the weight of this distance in L*a*b*.
_RELIEF_WEIGHT = 6.0
_FLAT = 5.0  # added to the standard deviation, so that noise on a flat area stays small


def descriptor(picture: Image, box: Box) -> bytes:
    """The appearance of the face in `box` and of its surroundings: [4 * GRID * GRID] int8 as bytes."""
    colours = _grid(picture, box, COLOURS_ACROSS, COLOURS_DOWN, COLOURS_RISE)
    colours[..., 0] -= _LIGHTNESS_REMOVED * colours[..., 0].mean()
    colours[..., 0] *= _LIGHTNESS_WEIGHT
    relief = _grid(picture, box, RELIEF_SIDE, RELIEF_SIDE)[..., 0]
    relief = (relief - relief.mean()) / (relief.std() + _FLAT) * _RELIEF_WEIGHT
    both = np.concatenate([colours.ravel(), relief.ravel()])
    return bytes(np.clip(np.rint(both), -127, 127).astype(np.int8))


def _grid(picture: Image, box: Box, across: float, down: float, rise: float = 0.0) -> npt.NDArray[np.float32]:
    """Mean colours [GRID, GRID, 3] in L*a*b* of an area around the box.

    The area is `across` face widths wide and `down` high (at most as high as wide), with its centre `rise` above the
    face's.
    """
    x, y, w, h = box
    face = max(w, h)
    side = max(GRID, round(face * across))
    square = padded_square(picture, round(x + w / 2 - side / 2), round(y + h / 2 - face * rise - side / 2), side)
    cut = round(side * (1 - down / across) / 2)
    small = cv2.resize(square[cut : side - cut], (GRID, GRID), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_BGR2LAB), np.float32)
