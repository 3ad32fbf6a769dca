"""From the pictures of a chunk to the faces in them and the emotions they display. No Redis, no memory of the past."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from worker.appearance import look
from worker.contract.messages import EMOTIONS, Chunk, FrameStamp
from worker.emotions import Ensemble, Readings
from worker.faces import Face, FaceFinder
from worker.manifest import EnsembleMode
from worker.observations import FaceSeen, FrameSeen
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
        pictures = [_decoded(jpeg) for jpeg in chunk.jpegs]
        whole = chunk.head.width, chunk.head.height
        return [
            FrameSeen(stamp, list(self._read(picture, faces, *(stamp.size or whole))))
            for stamp, picture, faces in zip(
                chunk.head.frames, pictures, self._find(chunk.head.frames, pictures), strict=True
            )
        ]

    def _find(self, stamps: list[FrameStamp], pictures: list[Image]) -> list[list[Face]]:
        """The faces in every picture, each recording by itself: where faces were tells where they are."""
        found: dict[int, list[Face]] = {}
        for recording in {stamp.participant for stamp in stamps}:
            mine = [i for i, stamp in enumerate(stamps) if stamp.participant == recording]
            found.update(zip(mine, self._finder.find_in_frames([pictures[i] for i in mine]), strict=True))
        return [found[i] for i in range(len(pictures))]

    def _read(self, picture: Image, faces: list[Face], width: int, height: int) -> Iterator[FaceSeen]:
        """The faces of one picture in reading order, their boxes in pixels of the source's width and height."""
        faces = _in_reading_order(faces)
        readings = self._ensemble.read([face_crop(picture, face.box) for face in faces])
        self.faces += len(faces)
        self.escalations += int(readings.escalated.sum())
        across, down = width / picture.shape[1], height / picture.shape[0]
        for i, face in enumerate(faces):
            x, y, w, h = face.box
            yield FaceSeen(
                box=(x * across, y * down, w * across, h * down),
                detection=face.detection,
                scores=tuple(readings.scores[i].tolist()),
                models=_labels(readings, i),
                look=look(picture, face.box),
            )


def _decoded(jpeg: bytes) -> Image:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    if picture is None:
        raise BadPicture("a frame is not a picture that decodes")
    return np.asarray(picture, np.uint8)


def _in_reading_order(faces: list[Face]) -> list[Face]:
    """Row by row, and from left to right in a row, so that p01 is at the top left of a gallery."""
    if not faces:
        return faces
    row = float(np.median([face.box[3] for face in faces]))
    return sorted(faces, key=lambda face: (round((face.box[1] + face.box[3] / 2) / row / 1.5), face.box[0]))


def _labels(readings: Readings, i: int) -> dict[str, str]:
    return {name: EMOTIONS[int(p.argmax())] for name, p in readings.asked(i).items()}
