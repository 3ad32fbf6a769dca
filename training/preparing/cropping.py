"""Detecting the face to cut out of a picture, so that training gets the same crops as the worker."""

from collections.abc import Callable, Iterable
from typing import Literal

import cv2
import cv2.data

from training.silence import tensorflow_silenced
from worker.perception.preprocessing import Box, Image

DetectorName = Literal["mediapipe", "haar"]

# The box of a Haar cascade is larger than BlazeFace's and lies higher. Medians over 292 frontal and half-profile
# pictures of KDEF.
HAAR_SCALE = 1.34
HAAR_RISE = 0.12  # of the side of BlazeFace's box

_HAAR_STEP = 1.1  # from one scale of the search to the next
_HAAR_NEIGHBOURS = 5  # with fewer, it detects more that are not faces


Detector = Callable[[Image], list[Box]]
"""The boxes of all faces of a picture [height, width, 3] BGR, framed as BlazeFace frames them.

One detector may be used by one thread at a time.
"""


def make_detector(name: DetectorName) -> Detector:
    """BlazeFace through windows, as in the worker, or OpenCV's frontal Haar cascade, as in the study (5)."""
    if name == "haar":
        cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
        return lambda image: _haar_boxes(cascade, image)
    from worker.perception.faces import FaceDetector

    with tensorflow_silenced():
        detector = FaceDetector()
    return lambda image: [face.box for face in detector.detect_in_picture(image)]


def choose_face(boxes: Iterable[Box], labelled: Box | None) -> Box | None:
    """The labelled face: the one with the largest overlap with the published box, or without one the largest face."""
    if labelled is None:
        return max(boxes, key=lambda box: box[2] * box[3], default=None)
    return max((box for box in boxes if _overlap(box, labelled)), key=lambda box: _overlap(box, labelled), default=None)


def _haar_boxes(cascade: cv2.CascadeClassifier, image: Image) -> list[Box]:
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    found = cascade.detectMultiScale(grey, scaleFactor=_HAAR_STEP, minNeighbors=_HAAR_NEIGHBOURS)
    return [_as_blazeface(x, y, side) for x, y, side, _ in found]


def _as_blazeface(x: int, y: int, haar_side: int) -> Box:
    side = haar_side / HAAR_SCALE
    middle_x, middle_y = x + haar_side / 2, y + haar_side / 2 + HAAR_RISE * side
    return middle_x - side / 2, middle_y - side / 2, side, side


def _overlap(a: Box, b: Box) -> float:
    """The area that two boxes have in common."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)
