"""Slide descriptors: how much structure each part of a picture has, without the parts that show people.

The picture is divided into cells. A cell holds two numbers of four bits: the mean step of brightness across and down,
on a logarithmic scale. That says where text and drawings are, and changes with them, but no picture can be made of it.
Light and contrast hardly change it. docs/slides.md has the measurements.
"""

import math
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from worker.outcome import COVERED, SLIDE_COLUMNS, SLIDE_LEVELS, SLIDE_ROWS
from worker.perception.preprocessing import Box, Image

# Pixels of a cell's side after scaling: text is still text, and larger pictures cost little.
CELL_PX = 10

# Steps of brightness (of 255) with level 0, and levels per doubling. Compression noise stays below the first.
FLOOR = 4.0
LEVELS_PER_DOUBLING = 3.0

# Around a face these parts of its size belong to the person: to the left and right, above, and below.
BESIDE, ABOVE, BELOW = 1.0, 0.8, 1.5


def slide_descriptor(picture: Image, faces: Iterable[Box], ignored: Iterable[Box] = ()) -> bytes:
    """The cells of a picture [height, width, 3], row by row.

    Those with a face or beside it are COVERED, and so are those in the regions `ignored`.
    """
    size = SLIDE_COLUMNS * CELL_PX, SLIDE_ROWS * CELL_PX
    grey = cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    # The last step is repeated, so that cells are a whole number of pixels: OpenCV is then several times faster.
    repeat = cv2.BORDER_REPLICATE
    across = _levels(cv2.copyMakeBorder(cv2.absdiff(grey[:, 1:], grey[:, :-1]), 0, 0, 0, 1, repeat))
    down = _levels(cv2.copyMakeBorder(cv2.absdiff(grey[1:], grey[:-1]), 0, 1, 0, 0, repeat))
    cells = (across << 4) | down
    across_px, down_px = picture.shape[1] / SLIDE_COLUMNS, picture.shape[0] / SLIDE_ROWS
    for x, y, w, h in faces:
        columns = _covered((x - BESIDE * w) / across_px, (x + (1 + BESIDE) * w) / across_px)
        cells[_covered((y - ABOVE * h) / down_px, (y + (1 + BELOW) * h) / down_px), columns] = COVERED
    for x, y, w, h in ignored:
        cells[_covered(y / down_px, (y + h) / down_px), _covered(x / across_px, (x + w) / across_px)] = COVERED
    return bytes(cells.tobytes())


def _covered(first: float, end: float) -> slice:
    """All cells that the interval touches."""
    return slice(max(0, math.floor(first)), max(0, math.ceil(end)))


def _levels(steps: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """[SLIDE_ROWS, SLIDE_COLUMNS] levels of the mean of `steps` in each cell."""
    mean = cv2.resize(steps.astype(np.float32), (SLIDE_COLUMNS, SLIDE_ROWS), interpolation=cv2.INTER_AREA)
    levels = np.rint(LEVELS_PER_DOUBLING * np.log2(np.maximum(mean, FLOOR) / FLOOR))
    return np.asarray(np.minimum(levels, SLIDE_LEVELS - 1), np.uint8)
