"""Faces, displayed expressions and participants of pictures that a program has as arrays. No Redis, no files.

from worker import Analyzer

for face in Analyzer().faces(picture):
    print(face.box, face.emotion, face.scores)
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import get_args

import numpy as np
from msgspec import Struct

from worker.contract.keys import checked_id
from worker.contract.limits import MAX_CHUNK_PICTURES
from worker.contract.messages import (
    EMOTIONS,
    ClassEvent,
    EmotionEvent,
    FrameStamp,
    PixelBox,
    Pose,
    Scores,
    SlideEvent,
    Unreadable,
)
from worker.folding.affect import valence_and_arousal
from worker.folding.fold import LectureState, fold
from worker.outcome import FaceObservation, Outcome
from worker.perception.manifest import MODELS, EnsembleMode
from worker.perception.perception import MAX_ASPECT, MAX_PIXELS, BadPicture, Observations, Perception, check_size
from worker.perception.preprocessing import Image

BATCH = 16
"""Frames that are analyzed together, as many as in a chunk of a recording: the models are faster in full batches."""


class Face(Struct, frozen=True):
    """A face in one picture, and the expression that it displays.

    `box` is x, y, width and height in pixels of the picture, `detection` the detection score, 0 to 1. `scores` are the
    calibrated probabilities by emotion, `emotion` the most likely one, `valence` and `arousal` a linear map of the
    scores, -1 to 1. `models` has the most likely emotion by each model that was asked. A face that cannot be read has
    None for these and a `reason` (small, turned, dark or blurred). `pose` is the turn of the head in degrees.
    """

    box: PixelBox
    detection: float
    emotion: str | None
    scores: Scores | None
    valence: float | None
    arousal: float | None
    models: dict[str, str]
    reason: Unreadable | None
    pose: Pose | None

    @property
    def readable(self) -> bool:
        return self.scores is not None


class Analyzer:
    """The models of the worker, loaded once: keep it. Threads that share one wait for each other."""

    def __init__(self, models: str | Path | None = None, ensemble: EnsembleMode | None = None) -> None:
        """Load the models in the folder `models`, by default the shipped ones. OpenCV then uses one thread.

        `ensemble` "full" asks all models about every face, "adaptive" others only if it must; by default the folder's
        manifest chooses. Raises ValueError for another `ensemble`, and worker.perception.manifest.ManifestError if the
        folder cannot be used.
        """
        if ensemble is not None and ensemble not in get_args(EnsembleMode):
            raise ValueError(f"ensemble is {ensemble!r}; give one of {', '.join(get_args(EnsembleMode))}, or none")
        self._perception = Perception(MODELS if models is None else Path(models), ensemble)
        self._one_by_one = Lock()

    @property
    def model_version(self) -> str:
        """Identifies the set of models, as in events."""
        return self._perception.model_version

    def faces(self, picture: Image) -> list[Face]:
        """The faces of a picture, [height, width, 3] uint8 RGB, row by row and from left to right.

        Raises ValueError for an array of another form, and for one that is too large or too narrow.
        """
        seen = self._observed([FrameStamp(0, 0.0)], [_bgr(picture)], _size(picture))
        return [_face(each) for each in seen.frames[0].faces]

    def events(
        self, frames: Iterable[tuple[float, Image]], lecture: str = "lecture", batch: int = BATCH
    ) -> Iterator[EmotionEvent | ClassEvent | SlideEvent]:
        """The events of a lecture, as workers publish them: each participant in each frame, the class, new slides.

        `frames` gives the time in seconds, which must rise, and the picture, [height, width, 3] uint8 RGB. Boxes are in
        pixels of the first one. `batch` frames are taken before their events come: 1 for a camera, more is faster. Of a
        frame, the participants come first. Events of a new participant's first sightings may come later, before the
        next frame's. Raises ValueError as `faces` does, and for a time that does not rise.
        """
        if not (isinstance(batch, int) and 1 <= batch <= MAX_CHUNK_PICTURES):
            raise ValueError(f"batch is {batch}; give a number of frames from 1 to {MAX_CHUNK_PICTURES}")
        return self._folded(_stamped(frames), checked_id(lecture, "lecture id"), batch)

    def _observed(self, stamps: list[FrameStamp], pictures: list[Image], size: tuple[int, int]) -> Observations:
        with self._one_by_one:
            return self._perception.observe_pictures(stamps, pictures, size)

    def _folded(
        self, stamped: Iterator[tuple[FrameStamp, Image]], lecture: str, batch: int
    ) -> Iterator[EmotionEvent | ClassEvent | SlideEvent]:
        state, size = LectureState(), None
        while some := list(islice(stamped, batch)):
            stamps, pictures = [stamp for stamp, _ in some], [_bgr(picture) for _, picture in some]
            size = size or _size(pictures[0])
            seen = self._observed(stamps, pictures, size)
            for frame in seen.frames:
                folded = fold(lecture, state, [Outcome([frame], model_version=self.model_version)], [1])
                state = folded.state
                yield from folded.emotions
                yield from folded.class_channel


def _stamped(frames: Iterable[tuple[float, Image]]) -> Iterator[tuple[FrameStamp, Image]]:
    before = -1.0
    for number, (t, picture) in enumerate(frames):
        if not (0 <= t < 2**40 and t > before):
            last = f"; the one before has {before:g} s" if number else ""
            raise ValueError(f"frame {number} has the time {t:g} s{last}; give times that rise, from 0 on")
        before = float(t)
        yield FrameStamp(number, before), picture


def _size(picture: Image) -> tuple[int, int]:
    return int(picture.shape[1]), int(picture.shape[0])


def _bgr(picture: Image) -> Image:
    """A picture as the models take it; ValueError if it is none."""
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        form = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise ValueError(f"a picture is {form}; give an array of uint8 [height, width, 3], in the order RGB")
    width, height = _size(picture)
    try:
        check_size(width, height)
    except BadPicture:
        limits = f"at most {MAX_PIXELS} pixels, and no side longer than {MAX_ASPECT} times the other"
        raise ValueError(f"a picture has {width}x{height} pixels; give one with {limits}") from None
    return np.ascontiguousarray(picture[:, :, ::-1])


def _face(seen: FaceObservation) -> Face:
    x, y, width, height = map(round, seen.box)
    box, scores = (x, y, width, height), seen.scores
    if scores is None:
        return Face(box, seen.detection, None, None, None, None, {}, seen.unreadable, seen.pose)
    shown = EMOTIONS[int(np.argmax(scores))]
    by_emotion = dict(zip(EMOTIONS, scores, strict=True))
    return Face(box, seen.detection, shown, by_emotion, *valence_and_arousal(scores), seen.models, None, seen.pose)
