"""From the JPEGs of a chunk to observations: decode, detect faces, predict the emotions they display, describe them."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL.JpegImagePlugin import JpegImageFile

from worker.contract.limits import MAX_FACES
from worker.contract.messages import Chunk, FrameStamp, PixelBox, Pose, Unreadable
from worker.contract.reasons import FailureReason
from worker.outcome import FaceObservation, FrameObservation, ScoreVector
from worker.perception.appearance import descriptor
from worker.perception.emotions import Ensemble
from worker.perception.faces import Detection, FaceDetector, at_same_places
from worker.perception.manifest import EnsembleMode
from worker.perception.preprocessing import Box, Image, face_crop
from worker.perception.readability import unreadable_because
from worker.perception.scales import Scales
from worker.perception.slides import slide_descriptor

Step = Literal["decode", "faces", "readability", "emotions", "appearance", "slides"]

# Sixteen million: twice a 4K frame, eight times the Full HD that the producer sends. A JPEG of a few kilobytes can
# claim 4 billion pixels, which would take 12 GB after decoding.
MAX_PIXELS = 2**24

# The detector's windows are as high as the picture, so a strip of a million pixels would take a minute.
MAX_ASPECT = 16

_Reading = tuple[ScoreVector | None, dict[str, str], bytes, Unreadable | None, Pose]
"""All that a `FaceObservation` has besides box and detection score."""


class BadPicture(Exception):
    """Bytes that are not a picture, or a picture that is too large. `reason` is the ledger's word."""

    def __init__(self, reason: FailureReason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Observations:
    """The observations of a chunk, with counts and durations for the caller to record.

    `frames` has one element per picture that could be decoded, in order; `failed` maps the other frames' numbers to the
    reasons. `escalated` is the number of faces about which the adaptive ensemble asked more than its first model; an
    unchanged face counts once. `step_s` has the seconds of each step, `inference_s` the seconds of each model that
    predicted a face.
    """

    frames: list[FrameObservation]
    failed: dict[int, FailureReason]
    escalated: int
    step_s: dict[Step, float]
    inference_s: dict[str, float]


class Perception:
    """The models of one worker process, loaded once and kept."""

    def __init__(self, models: Path, mode: EnsembleMode | None = None) -> None:
        """Load BlazeFace and the models in the folder `models`; ManifestError if the folder cannot be used.

        Without `mode`, the manifest chooses it.
        """
        cv2.setNumThreads(1)  # one process per core is faster than threads
        self._detector = FaceDetector()
        self._ensemble = Ensemble.load(models, mode=mode)

    @property
    def model_version(self) -> str:
        """Identifies the set of models in events."""
        return self._ensemble.manifest.digest

    def observe(self, chunk: Chunk) -> Observations:
        """The faces in every readable picture of a chunk, without those in its ignored regions."""
        head, step_s = chunk.head, dict[Step, float]()
        with _timed(step_s, "decode"):
            stamps, pictures, failed = _decoded(chunk)
        seen = self.observe_pictures(stamps, pictures, (head.width, head.height), head.ignored)
        return replace(seen, failed=failed, step_s=step_s | seen.step_s)

    def observe_pictures(
        self,
        stamps: list[FrameStamp],
        pictures: list[Image],
        source_size: tuple[int, int],
        regions: Sequence[PixelBox] = (),
    ) -> Observations:
        """The faces in pictures, [height, width, 3] BGR each, without those in the ignored `regions`.

        `source_size` is the width and height of the source, whose pixels boxes and regions count; a stamp may have
        another one.
        """
        step_s: dict[Step, float] = {}
        scales = [Scales(picture) for picture in pictures]
        sizes = [stamp.size or source_size for stamp in stamps]
        with _timed(step_s, "faces"):
            detected = self._detect(stamps, scales)
            ignored = [
                [_scaled(box, size, picture) for box in regions] for size, picture in zip(sizes, pictures, strict=True)
            ]
            detected = [
                [face for face in faces if not any(_holds(box, face.box) for box in boxes)]
                for faces, boxes in zip(detected, ignored, strict=True)
            ]
        # A face that has not changed is the same detection in several pictures. It is read in the first of them.
        first: dict[int, tuple[Scales, Detection]] = {}
        for scaled, faces in zip(scales, detected, strict=True):
            for face in faces:
                first.setdefault(id(face), (scaled, face))
        with _timed(step_s, "readability"):
            reasons = {key: unreadable_because(picture.picture, face) for key, (picture, face) in first.items()}
        with _timed(step_s, "emotions"):
            readable = [key for key, reason in reasons.items() if reason is None]
            # All crops of the chunk are predicted together, because the models are faster in full batches.
            crops = [face_crop(picture.picture, face.box) for picture, face in map(first.__getitem__, readable)]
            rows = {key: row for row, key in enumerate(readable)}
            earlier = _earlier(stamps, detected)
            predictions = self._ensemble.predict(crops, [rows.get(earlier.get(key, 0), -1) for key in readable])
            predicted = zip(map(tuple, predictions.scores.tolist()), predictions.labels(), strict=True)
            read: dict[int, tuple[ScoreVector | None, dict[str, str]]] = dict(zip(readable, predicted, strict=True))
        readings: dict[int, _Reading] = {}
        with _timed(step_s, "appearance"):
            for key, (scaled, face) in first.items():
                appearance = descriptor(scaled, face.box)
                readings[key] = (*read.get(key, (None, {})), appearance, reasons[key], face.pose)
        with _timed(step_s, "slides"):
            slides = [
                slide_descriptor(picture, [face.box for face in faces], boxes)
                if stamp.participant is None  # a recording of one of several people shows no slides
                else None
                for stamp, picture, faces, boxes in zip(stamps, pictures, detected, ignored, strict=True)
            ]
        frames = [
            FrameObservation(stamp, [_observation(picture, size, face, readings[id(face)]) for face in faces], slide)
            for stamp, size, picture, faces, slide in zip(stamps, sizes, pictures, detected, slides, strict=True)
        ]
        return Observations(frames, {}, int(predictions.escalated.sum()), step_s, predictions.inference_s)

    def _detect(self, stamps: list[FrameStamp], pictures: list[Scales]) -> list[list[Detection]]:
        """The faces of each picture in reading order.

        Each recording is searched by itself, because the detector expects a face where it was one frame before.
        """
        found: dict[int, list[Detection]] = {}
        for recording in {stamp.participant for stamp in stamps}:
            own = [i for i, stamp in enumerate(stamps) if stamp.participant == recording]
            found.update(zip(own, self._detector.detect_in_frames([pictures[i] for i in own]), strict=True))
        return [_in_reading_order(found[i]) for i in range(len(pictures))]


def _earlier(stamps: list[FrameStamp], detected: list[list[Detection]]) -> dict[int, int]:
    """For each face, by its `id`, the face at the same place one frame earlier."""
    earlier: dict[int, int] = {}
    last: dict[str | None, list[Detection]] = {}  # by recording
    for stamp, faces in zip(stamps, detected, strict=True):
        for face, before in zip(faces, at_same_places(faces, last.get(stamp.participant, [])), strict=True):
            if before is not None:
                earlier.setdefault(id(face), id(before))
        last[stamp.participant] = faces
    return earlier


@contextmanager
def _timed(step_s: dict[Step, float], step: Step) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    step_s[step] = time.perf_counter() - begun


def _scaled(box: PixelBox, size: tuple[int, int], picture: Image) -> Box:
    """A box in pixels of the source, which has this width and height, in pixels of its picture."""
    across, down = picture.shape[1] / size[0], picture.shape[0] / size[1]
    x, y, w, h = box
    return x * across, y * down, w * across, h * down


def _holds(box: Box, face: Box) -> bool:
    """Whether the middle of a face is inside."""
    x, y, w, h = box
    return 0 <= face[0] + face[2] / 2 - x < w and 0 <= face[1] + face[3] / 2 - y < h


def _observation(picture: Image, size: tuple[int, int], face: Detection, reading: _Reading) -> FaceObservation:
    """One face of a picture. `size` is the width and height of the source in pixels; the picture may be smaller."""
    across, down = size[0] / picture.shape[1], size[1] / picture.shape[0]
    x, y, w, h = face.box
    return FaceObservation((x * across, y * down, w * across, h * down), face.score, *reading)


def _decoded(chunk: Chunk) -> tuple[list[FrameStamp], list[Image], dict[int, FailureReason]]:
    """The stamps and pixels of the pictures that can be decoded, and the failure reasons of the other frames."""
    stamps, pictures = [], []
    failed: dict[int, FailureReason] = {}
    for stamp, jpeg in zip(chunk.head.frames, chunk.jpegs, strict=True):
        try:
            pictures.append(_picture(jpeg))
        except BadPicture as bad:
            failed.setdefault(stamp.frame, bad.reason)
        else:
            stamps.append(stamp)
    return stamps, pictures, failed


def _picture(jpeg: bytes) -> Image:
    """The decoded JPEG, [height, width, 3]. Raises BadPicture if it is not a JPEG or has an unusable size."""
    try:
        with JpegImageFile(BytesIO(jpeg)) as header:  # reads the header only
            width, height = header.size
    except Exception:  # a stranger may have written these bytes, so any error is possible
        raise BadPicture("bad_picture") from None
    check_size(width, height)
    try:
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        picture = None
    if picture is None:
        raise BadPicture("bad_picture")
    return np.asarray(picture, np.uint8)


def check_size(width: int, height: int) -> None:
    """Raise BadPicture if a picture of this size, in pixels, cannot be used."""
    if min(width, height) < 1 or max(width, height) > MAX_ASPECT * min(width, height):
        raise BadPicture("bad_picture")
    if width * height > MAX_PIXELS:
        raise BadPicture("picture_too_large")


def _in_reading_order(faces: list[Detection]) -> list[Detection]:
    """The MAX_FACES highest scores, row by row and from left to right, so that p01 is at the top left."""
    if not faces:
        return faces
    faces = sorted(faces, key=lambda face: -face.score)[:MAX_FACES]
    row = float(np.median([face.box[3] for face in faces]))
    return sorted(faces, key=lambda face: (round((face.box[1] + face.box[3] / 2) / row / 1.5), face.box[0]))
