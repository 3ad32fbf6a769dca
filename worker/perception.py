"""From the pictures of a chunk to the faces in them and the emotions they display. No Redis, no memory of the past."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL.JpegImagePlugin import JpegImageFile

from worker.appearance import look
from worker.contract.limits import FACES_A_FRAME
from worker.contract.messages import Chunk, FrameStamp
from worker.emotions import Ensemble
from worker.faces import Face, FaceFinder
from worker.manifest import EnsembleMode
from worker.metrics import ESCALATIONS, FACES, timed
from worker.observations import FaceSeen, FrameSeen, Reading
from worker.preprocessing import Image, face_crop

# Sixteen million: twice a 4K frame, eight times what the producer sends (it shrinks to Full HD). A JPEG of a few
# kilobytes can claim 4 billion, 12 GB once it is decoded.
MAX_PIXELS = 2**24

# Faces are looked for in squares as high as the picture is: a strip of a million pixels would take a minute.
MAX_ASPECT = 16


class BadPicture(Exception):
    """Bytes that are no picture, or one too large; `reason` is a word for the ledger."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Sight(NamedTuple):
    """What was seen in the pictures of a chunk, in their order, and why each of the `failed` frames was not."""

    frames: list[FrameSeen]
    failed: dict[int, str]


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

    def look(self, chunk: Chunk) -> Sight:
        """What is seen in every picture of a chunk that is one."""
        whole = (chunk.head.width, chunk.head.height)
        with timed("decode"):
            stamps, pictures, failed = _decoded(chunk)
        found = self._find(stamps, pictures)
        with timed("emotions"):
            seen = zip(pictures, found, strict=True)
            crops = [face_crop(picture, face.box) for picture, faces in seen for face in faces]
            # All at once: networks are faster with full batches, which one frame's faces seldom make.
            readings = self._ensemble.read(crops)
        self.faces += len(crops)
        self.escalations += int(readings.escalated.sum())
        FACES.inc(len(crops))
        ESCALATIONS.inc(int(readings.escalated.sum()))
        read = zip(map(tuple, readings.scores.tolist()), readings.labels(), strict=True)
        with timed("looks"):
            frames = [
                FrameSeen(stamp, _seen(picture, faces, read, stamp.size or whole))
                for stamp, picture, faces in zip(stamps, pictures, found, strict=True)
            ]
        return Sight(frames, failed)

    @timed("faces")
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


def _decoded(chunk: Chunk) -> tuple[list[FrameStamp], list[Image], dict[int, str]]:
    """The pictures that decode, their stamps, and the frames that have one which does not, with the reason."""
    stamps, pictures = [], []
    failed: dict[int, str] = {}
    for stamp, jpeg in zip(chunk.head.frames, chunk.jpegs, strict=True):
        try:
            pictures.append(_picture(jpeg))
        except BadPicture as bad:
            failed.setdefault(stamp.frame, bad.reason)
        else:
            stamps.append(stamp)
    return stamps, pictures, failed


def _picture(jpeg: bytes) -> Image:
    """Decoded, if it is a JPEG and its header tells a size that can be worked on; BadPicture if not."""
    try:
        with JpegImageFile(BytesIO(jpeg)) as header:  # reads no further than that
            width, height = header.size
    except Exception:  # of whatever kind: the bytes may be anybody's
        raise BadPicture("bad_picture") from None
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise BadPicture("bad_picture")
    if width * height > MAX_PIXELS:
        raise BadPicture("picture_too_large")
    try:
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        picture = None
    if picture is None:
        raise BadPicture("bad_picture")
    return np.asarray(picture, np.uint8)


def _surest(faces: list[Face]) -> list[Face]:
    return sorted(faces, key=lambda face: -face.detection)[:FACES_A_FRAME]


def _in_reading_order(faces: list[Face]) -> list[Face]:
    """Row by row, and from left to right in a row, so that p01 is at the top left of a gallery."""
    if not faces:
        return faces
    row = float(np.median([face.box[3] for face in faces]))
    return sorted(faces, key=lambda face: (round((face.box[1] + face.box[3] / 2) / row / 1.5), face.box[0]))
