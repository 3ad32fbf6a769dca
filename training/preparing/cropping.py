"""Cutting the face out of a whole picture the way serving does it, so that training sees the same crop."""

from collections.abc import Iterable
from typing import Literal, Protocol

import cv2
import cv2.data

from training.silence import tensorflow_silenced
from worker.perception.preprocessing import Box, Image

Detector = Literal["mediapipe", "haar"]

# A Haar cascade's box is larger than BlazeFace's and lies higher; the crop is framed for BlazeFace's. Medians over 292
# frontal and half-profile pictures of KDEF (sides 10th to 90th percentile 1.12 to 1.44; middles -0.19 to -0.07).
HAAR_SCALE = 1.34
HAAR_RISE = 0.12  # of BlazeFace's side

_HAAR_STEP = 1.1  # between the scales that are looked at
_HAAR_NEIGHBOURS = 5  # fewer find more that is no face


class Finder(Protocol):
    """Finds faces in pictures; one thread at a time."""

    def boxes(self, image: Image) -> list[Box]:
        """The boxes of all faces, framed as BlazeFace frames them."""


def make_finder(detector: Detector) -> Finder:
    """A finder: BlazeFace through windows, as in the worker, or OpenCV's frontal Haar cascade, as in the study (5)."""
    return _BlazeFace() if detector == "mediapipe" else _Haar()


def choose_face(boxes: Iterable[Box], labelled: Box | None) -> Box | None:
    """The face that a label is about: the biggest, or the one that is where the labelled one was published to be."""
    if labelled is None:
        return max(boxes, key=_area, default=None)
    best = max(boxes, key=lambda box: _common(box, labelled), default=None)
    return best if best is not None and _common(best, labelled) > 0 else None


class _BlazeFace:
    def __init__(self) -> None:
        from worker.perception.faces import FaceDetector

        with tensorflow_silenced():
            self._finder = FaceDetector()

    def boxes(self, image: Image) -> list[Box]:
        return [face.box for face in self._finder.detect_in_picture(image)]


class _Haar:
    def __init__(self) -> None:
        self._cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")

    def boxes(self, image: Image) -> list[Box]:
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        found = self._cascade.detectMultiScale(grey, scaleFactor=_HAAR_STEP, minNeighbors=_HAAR_NEIGHBOURS)
        return [_as_blazeface(x, y, side) for x, y, side, _ in found]


def _as_blazeface(x: int, y: int, haar_side: int) -> Box:
    side = haar_side / HAAR_SCALE
    middle_x, middle_y = x + haar_side / 2, y + haar_side / 2 + HAAR_RISE * side
    return middle_x - side / 2, middle_y - side / 2, side, side


def _area(box: Box) -> float:
    return box[2] * box[3]


def _common(a: Box, b: Box) -> float:
    """The area that two boxes share."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)
