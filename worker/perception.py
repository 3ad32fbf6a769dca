"""From the pictures of a chunk to the faces in them and the emotions they display. No Redis, no memory of the past."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from worker.appearance import look
from worker.contract.limits import FACES_A_FRAME
from worker.contract.messages import Chunk, FrameStamp
from worker.emotions import Ensemble
from worker.faces import Face, FaceFinder
from worker.manifest import EnsembleMode
from worker.observations import FaceSeen, FrameSeen, Reading
from worker.preprocessing import Image, face_crop


class BadPicture(Exception):
    """Bytes that are no picture."""


class Perception:
    """The networks of one worker process, loaded once and kept.

    `faces` were read so far, and `escalations` of them by all networks because the first one was not sure.
    """

    def __init__(self, models: Path, mode: EnsembleMode = "full") -> None:
        """Load BlazeFace and the set of networks in `models`; ManifestError where that is not what it should be."""
        cv2.setNumThreads(1)  # one process a core is faster than threads (the design, measurements)
        self._finder = FaceFinder()
        self._ensemble = Ensemble.load(models, mode=mode)
        self.faces = self.escalations = 0

    @property
    def model_version(self) -> str:
        return self._ensemble.manifest.digest

    def look(self, chunk: Chunk) -> list[FrameSeen]:
        """What is seen in every frame of a chunk; BadPicture where one does not decode."""
        stamps, whole = chunk.head.frames, (chunk.head.width, chunk.head.height)
        pictures = [_decoded(jpeg) for jpeg in chunk.jpegs]
        found = self._find(stamps, pictures)
        crops = [face_crop(picture, face.box) for picture, faces in zip(pictures, found, strict=True) for face in faces]
        # All at once: networks are faster with full batches, which one frame's faces seldom make.
        readings = self._ensemble.read(crops)
        self.faces += len(crops)
        self.escalations += int(readings.escalated.sum())
        read = zip(map(tuple, readings.scores.tolist()), readings.labels(), strict=True)
        return [
            FrameSeen(stamp, _seen(picture, faces, read, stamp.size or whole))
            for stamp, picture, faces in zip(stamps, pictures, found, strict=True)
        ]

    def _find(self, stamps: list[FrameStamp], pictures: list[Image]) -> list[list[Face]]:
        """The faces in every picture in reading order; each recording by itself, as where faces were tells where
        they are."""
        found: dict[int, list[Face]] = {}
        for recording in {stamp.participant for stamp in stamps}:
            mine = [i for i, stamp in enumerate(stamps) if stamp.participant == recording]
            found.update(zip(mine, self._finder.find_in_frames([pictures[i] for i in mine]), strict=True))
        return [_in_reading_order(_surest(found[i])) for i in range(len(pictures))]


def _seen(
    picture: Image, faces: list[Face], read: Iterator[tuple[Reading, dict[str, str]]], size: tuple[int, int]
) -> list[FaceSeen]:
    """The faces of one picture with what comes next in `read`, their boxes in pixels of a source of that size."""
    across, down = size[0] / picture.shape[1], size[1] / picture.shape[0]
    seen = []
    for face, (scores, labels) in zip(faces, read, strict=False):  # `faces` first: its end takes nothing from `read`
        x, y, w, h = face.box
        box = x * across, y * down, w * across, h * down
        seen.append(FaceSeen(box, face.detection, scores, labels, look(picture, face.box)))
    return seen


def _decoded(jpeg: bytes) -> Image:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    if picture is None:
        raise BadPicture("a frame is not a picture that decodes")
    return np.asarray(picture, np.uint8)


def _surest(faces: list[Face]) -> list[Face]:
    return sorted(faces, key=lambda face: -face.detection)[:FACES_A_FRAME]


def _in_reading_order(faces: list[Face]) -> list[Face]:
    """Row by row, and from left to right in a row, so that p01 is at the top left of a gallery."""
    if not faces:
        return faces
    row = float(np.median([face.box[3] for face in faces]))
    return sorted(faces, key=lambda face: (round((face.box[1] + face.box[3] / 2) / row / 1.5), face.box[0]))
