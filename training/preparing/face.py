"""Examining a record: whether the picture is readable and not blank, and where its face is."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from training.datasets import DatasetError
from training.preparing.cropping import Detector, choose_face
from training.preparing.record import Record, Removal
from training.preparing.selection.likeness import Likeness, likeness
from worker.perception.preprocessing import Box, Image, face_crop

# A prepared set keeps no more pixels than a network needs. Ours have an input of 96 pixels.
LARGEST_SIDE = 160

# Standard deviation in grey levels. The 13 blank pictures of FER-2013 have 0.6 or less, the darkest face has 4.1.
BLANK = 2.0


@dataclass(frozen=True)
class ExaminedFace:
    """A usable picture: the box of its face (None for a crop), and its likeness, by which copies are found."""

    record: Record
    box: Box | None
    likeness: Likeness

    def pixels(self) -> Image:
        """The crop [height, width, 3] BGR, its shorter side at most LARGEST_SIDE."""
        image = self.record.pixels()
        if image is None:
            raise DatasetError(
                f"{self.record.origin}: has disappeared; start again, and leave the sources unchanged meanwhile"
            )
        return _reduced(_cut(image, self.box))


def examine(record: Record, detector: Detector | None) -> ExaminedFace | Removal:
    """Examine a picture, with `detector` if it is not a crop; a Removal if it cannot be used."""
    image = record.pixels()
    if image is None:
        return record.removed("unreadable")
    box = None
    if detector is not None:
        box = choose_face(detector(image), record.face)
        if box is None:
            return record.removed("no face")
    crop = _cut(image, box)
    contrast = float(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY).std())
    if contrast < BLANK:
        return record.removed("blank", f"standard deviation {contrast:.1f} grey levels")
    return ExaminedFace(record, box, likeness(crop))


def _cut(image: Image, box: Box | None) -> Image:
    return image if box is None else face_crop(image, box)


def _reduced(image: Image) -> Image:
    scale = LARGEST_SIDE / min(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (math.ceil(side * scale) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
