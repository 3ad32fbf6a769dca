"""Whether a face can be read: it must be large, turned to the camera, lit and sharp enough.

The measures hardly depend on the expression. docs/readability.md has the curves behind the thresholds: beyond them,
the shipped ensemble keeps less than about 85 % of its accuracy on good pictures.
"""

from typing import NamedTuple

import cv2
import numpy as np

from worker.contract.messages import Unreadable
from worker.perception.faces import Detection
from worker.perception.preprocessing import Image, padded_square

MIN_SIDE = 36.0  # pixels of the picture
MAX_TURN = 54.0  # degrees: beyond a half profile
MIN_CONTRAST = 7.0  # grey levels of 256
MIN_SHARPNESS = 0.045

# Sharpness is measured at this scale, because the networks see 64 to 96 pixels.
SHARPNESS_SIDE = 64


class Measures(NamedTuple):
    """Measures of a face in a picture.

    `side` is the longer side of its box, in pixels of the picture. `turn` is that of the head to either side,
    in degrees (`pose`). `contrast` is the standard deviation of the grey levels in the box, 0 to 128.
    `sharpness` is the variance of their Laplacian (Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy,
    2000), divided by their own variance, so that light does not change it.
    """

    side: float
    turn: float
    contrast: float
    sharpness: float


def unreadable_because(picture: Image, face: Detection) -> Unreadable | None:
    """Why a face of a picture [height, width, 3] cannot be read; None if it can."""
    return reason(measured(picture, face))


def reason(measures: Measures) -> Unreadable | None:
    """The first of UNREADABLE that applies; None if the face can be read."""
    if measures.side < MIN_SIDE:
        return "small"
    if measures.turn > MAX_TURN:
        return "turned"
    if measures.contrast < MIN_CONTRAST:
        return "dark"
    if measures.sharpness < MIN_SHARPNESS:
        return "blurred"
    return None


def measured(picture: Image, face: Detection) -> Measures:
    """The measures of a face in a picture [height, width, 3]."""
    x, y, w, h = face.box
    side = max(2, round(max(w, h)))
    square = padded_square(picture, round(x + w / 2 - side / 2), round(y + h / 2 - side / 2), side)
    every = max(1, side // (2 * SHARPNESS_SIDE))  # of a large face some pixels are enough, and much faster
    square = np.ascontiguousarray(square[::every, ::every])
    scaled = min(side, SHARPNESS_SIDE)
    grey = cv2.cvtColor(cv2.resize(square, (scaled, scaled), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    (_, contrast), (_, edges) = cv2.meanStdDev(grey), cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_32F))
    deviation = float(contrast[0, 0])
    turn = abs(face.pose.yaw)
    return Measures(max(w, h), turn, deviation, (float(edges[0, 0]) / max(deviation, 1.0)) ** 2)
