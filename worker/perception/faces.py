"""Face detection: BlazeFace in overlapping windows.

BlazeFace (Bazarevsky et al., 2019; the short-range model of MediaPipe) takes 128x128 pixels and detects faces that are
at least about a tenth of them wide. On a whole gallery of 25 people it detects none. So it runs in overlapping square
windows, some as high as the frame and some half as high, and the detections of all windows are merged.

The model file is that of the mediapipe package or, where that has no wheel, a copy in `worker/models`. The interpreter
of the emotion models runs it. `import mediapipe` would take seconds, and its graph takes 1.6 ms per window instead of
1.0 (measured on one core, November 2026).
"""

import importlib.util
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from worker.contract.messages import Pose
from worker.perception.interpreter import TFLiteModel
from worker.perception.manifest import MODELS
from worker.perception.pose import head_pose
from worker.perception.preprocessing import Box, Image
from worker.perception.scales import Scales
from worker.perception.windows import (
    COARSE_SHARES,
    FINE_SHARES,
    SMALL_FACE,
    Thumbnail,
    Window,
    has_changed,
    thumbnails,
    windows,
    windows_around,
)

Floats = npt.NDArray[np.float32]

Candidates = npt.NDArray[np.float32]
"""What BlazeFace found in some windows, [n, 17]: boxes, scores, and keypoints (x, y of each), in pixels."""

KEYPOINTS = ("right eye", "left eye", "nose", "mouth", "right ear", "left ear")
"""BlazeFace's keypoints. Right and left are those of the person."""

MODEL = "modules/face_detection/face_detection_short_range.tflite"
INPUT_SIDE = 128  # pixels of BlazeFace's input, both ways
ANCHOR_GRIDS = ((16, 2), (8, 6))  # cells along a side, and anchors in each cell

# A candidate with at least CERTAIN_SCORE is a face. Any other candidate is checked: it is put in the middle of a window
# of CHECK_SCALE times its size, and is a face if it scores MIN_CHECKED_SCORE there. docs/tracking.md has the
# measurements.
MIN_CANDIDATE_SCORE = 0.30
CERTAIN_SCORE = 0.85
CHECK_SCALE = 3.0
MIN_CHECKED_SCORE = 0.70

SAME_FACE_IOU = 0.3
SAME_PLACE_IOU = 0.5  # boxes of two frames with this overlap show the same person, unless the picture was cut
PART_OF_FACE = 0.6  # a box with this share inside a better one is a part of that face

# A face is unchanged if no pixel of a square of UNCHANGED_AREA face widths, shrunk to at least UNCHANGED_PX pixels,
# differs by more than UNCHANGED_LEVELS from the picture in which it was found. docs/tracking.md has the measurements.
UNCHANGED_AREA = 1.5
UNCHANGED_PX = 24
UNCHANGED_LEVELS = 8


@dataclass(frozen=True)
class Detection:
    """A face: its box (it may reach beyond the edge), its detection score, 0 to 1, and the places of its KEYPOINTS.

    `keypoints` is x, y of each. All places are in pixels of the picture.
    """

    box: Box
    score: float
    keypoints: tuple[float, ...]

    @cached_property
    def pose(self) -> Pose:
        """The turn of the head."""
        return head_pose(self.keypoints)


class FaceDetector:
    """Detects faces in single pictures and in consecutive frames. Holds one interpreter, so it is not thread-safe."""

    def __init__(self) -> None:
        self._blazeface = TFLiteModel(_model_file())
        self._anchors = _anchors()

    def detect_in_picture(self, image: Image) -> list[Detection]:
        """All faces of a picture [height, width, 3], searched in all windows."""
        return next(self.detect_in_frames([Scales(image)]))

    def detect_in_frames(self, images: Iterable[Scales]) -> Iterator[list[Detection]]:
        """The faces of each frame of a short video.

        The first frame is searched in all windows. The others are searched around the faces of the frame before and in
        the windows that have changed. If a face is missing then, the frame is searched in all windows too. A face whose
        pixels have not changed since it was found is not searched again: the same `Detection` is in both frames.
        """
        everywhere: list[Window] = []
        fine: list[Window] = []
        searched: dict[Window, Thumbnail] = {}  # each window as it was when it was last searched
        before: list[tuple[Detection, Scales]] = []  # the faces of the last frame, and the picture of each detection
        shape: tuple[int, ...] = ()
        for image in images:
            if image.picture.shape != shape:
                shape = image.picture.shape
                everywhere, fine = (windows(shape[1], shape[0], shares) for shares in (COARSE_SHARES, FINE_SHARES))
                searched, before = {}, []
            known = [face for face, _ in before]
            same = {face: then for face, then in before if _is_unchanged(face, then, image)}
            now = thumbnails(image, [*everywhere, *fine], [face.box for face in known])
            chosen = [w for w in everywhere if w not in searched or has_changed(searched[w], now[w])]
            around = windows_around([face.box for face in known if face not in same])
            candidates = self._search(image, [*around, *chosen])
            faces = self._detections(image, candidates, same)
            small = fine and any(face.box[2] < SMALL_FACE * everywhere[-1].side for face in faces)
            if small:
                everywhere, fine = everywhere + fine, []
            rest = [w for w in everywhere if w not in chosen]
            if rest and (small or not _all_found_again(known, faces)):
                faces = self._detections(image, np.concatenate([candidates, self._search(image, rest)]), same)
                chosen = everywhere
            searched.update({w: now[w] for w in chosen})
            before = [(face, same.get(face, image)) for face in faces]
            yield faces

    def _search(self, image: Scales, chosen: list[Window]) -> Candidates:
        """The candidates of all chosen windows, not merged yet."""
        return np.concatenate([np.empty((0, 17), np.float32), *(self._search_window(image, each) for each in chosen)])

    def _search_window(self, image: Scales, window: Window) -> Candidates:
        square, by = image.square(*window, at_least=INPUT_SIDE)
        x, y, side = window.x // by * by, window.y // by * by, len(square) * by
        method = cv2.INTER_AREA if len(square) > INPUT_SIDE else cv2.INTER_LINEAR
        view = cv2.resize(square, (INPUT_SIDE, INPUT_SIDE), interpolation=method)
        batch = cv2.cvtColor(view, cv2.COLOR_BGR2RGB)[np.newaxis].astype(np.float32) / 127.5 - 1
        raw_boxes, logits = self._blazeface(batch)
        # The threshold is applied to the logits, because few of the 896 anchors then need an exponential.
        likely = logits[0, :, 0] >= math.log(MIN_CANDIDATE_SCORE / (1 - MIN_CANDIDATE_SCORE))
        scores = 1 / (1 + np.exp(-logits[0, likely, 0]))
        # All places are relative to the anchor, except width and height of the box.
        places = raw_boxes[0, likely] / INPUT_SIDE
        sizes = places[:, 2:4].copy()
        places += np.tile(self._anchors[likely], places.shape[1] // 2)
        places = places * side + np.tile([x, y], places.shape[1] // 2)
        sizes *= side
        return np.column_stack([places[:, :2] - sizes / 2, sizes, scores, places[:, 4:]]).astype(np.float32)

    def _detections(self, image: Scales, candidates: Candidates, known: Iterable[Detection]) -> list[Detection]:
        """The known faces, and others: merge the candidates of all windows, and check those that are not certain."""
        faces = list(known)
        for candidate in _merged(candidates):
            if _overlaps_any(candidate, faces):
                continue
            face = candidate if candidate.score >= CERTAIN_SCORE else self._checked(image, candidate.box)
            if face is not None and not _overlaps_any(face, faces):
                faces.append(face)
        return faces

    def _checked(self, image: Scales, box: Box) -> Detection | None:
        """The face at the place of `box`, searched again in a window around it; None if there is none."""
        x, y, w, h = box
        side = round(max(w, h) * CHECK_SCALE)
        window = Window(round(x + w / 2 - side / 2), round(y + h / 2 - side / 2), side)
        found = self._search_window(image, window)
        boxes, scores = found[:, :4], found[:, 4]
        scores = np.where(_overlap(np.asarray(box, np.float32), boxes)[0] >= SAME_FACE_IOU, scores, 0)
        if not len(scores) or scores.max() < MIN_CHECKED_SCORE:
            return None
        return _detection(found[int(scores.argmax())])


def at_same_places(faces: Sequence[Detection], before: Sequence[Detection]) -> list[Detection | None]:
    """For each of `faces`, the face at its place in the frame `before`."""
    if not faces or not before:
        return [None] * len(faces)
    iou, _ = _overlap(_boxes(faces)[:, np.newaxis], _boxes(before))
    nearest = iou.argmax(axis=1)
    return [before[j] if iou[i, j] >= SAME_PLACE_IOU else None for i, j in enumerate(nearest)]


def _merged(candidates: Candidates) -> Iterator[Detection]:
    """Non-maximum suppression. Box and keypoints of a face are means of those that overlap, weighted by score."""
    ordered = candidates[np.argsort(-candidates[:, 4], kind="stable")]
    boxes, scores = ordered[:, :4], ordered[:, 4]
    left = np.ones(len(scores), bool)
    for i in range(len(scores)):
        if not left[i]:
            continue
        iou, inside = _overlap(boxes[i], boxes)
        same = left & (iou >= SAME_FACE_IOU)
        left &= ~(same | (inside >= PART_OF_FACE))
        mean = scores[same] @ ordered[same] / scores[same].sum()
        mean[4] = scores[i]
        yield _detection(mean)


def _overlap(some: Floats, others: Floats) -> tuple[Floats, Floats]:
    """Overlap of boxes [..., 4] with others (broadcast): intersection over union, and over the smaller of the two."""
    shared = np.minimum(some[..., :2] + some[..., 2:], others[..., :2] + others[..., 2:])
    shared = np.maximum(shared - np.maximum(some[..., :2], others[..., :2]), 0)
    both = shared[..., 0] * shared[..., 1]
    area, areas = some[..., 2] * some[..., 3], others[..., 2] * others[..., 3]
    iou: Floats = both / (area + areas - both)
    inside: Floats = both / np.minimum(area, areas)
    return iou, inside


def _boxes(faces: Sequence[Detection]) -> Floats:
    return np.asarray([face.box for face in faces], np.float32).reshape(-1, 4)


def _is_unchanged(face: Detection, then: Scales, now: Scales) -> bool:
    """Whether a face and what is around it look in `now` as they did in `then`, the picture in which it was found."""
    if then.picture.shape != now.picture.shape:
        return False
    x, y, w, h = face.box
    side = max(UNCHANGED_PX, round(max(w, h) * UNCHANGED_AREA))
    place = round(x + w / 2 - side / 2), round(y + h / 2 - side / 2), side, UNCHANGED_PX
    return cv2.norm(then.square(*place)[0], now.square(*place)[0], cv2.NORM_INF) <= UNCHANGED_LEVELS


def _overlaps_any(face: Detection, faces: list[Detection]) -> bool:
    """Whether `face` is one of `faces`, or a part of one. The second check may find a known neighbour."""
    iou, inside = _overlap(_boxes([face]), _boxes(faces))
    return bool(((iou >= SAME_FACE_IOU) | (inside >= PART_OF_FACE)).any())


def _all_found_again(before: list[Detection], now: list[Detection]) -> bool:
    """Whether each face of the frame before is there now, at about the same place."""
    iou, _ = _overlap(_boxes(before)[:, np.newaxis], _boxes(now))
    return bool((iou >= SAME_FACE_IOU / 2).any(axis=1).all())


def _detection(candidate: Floats) -> Detection:
    x, y, w, h, score, *keypoints = (float(value) for value in candidate)
    return Detection((x, y, w, h), score, tuple(keypoints))


def _anchors() -> Floats:
    """The centres of BlazeFace's 896 anchors [896, 2], x and y from 0 to 1."""
    centres = []
    for cells, repeats in ANCHOR_GRIDS:
        rows, columns = np.mgrid[:cells, :cells]
        centres.append(np.repeat(np.stack([columns, rows], axis=-1).reshape(-1, 2) + 0.5, repeats, axis=0) / cells)
    return np.asarray(np.concatenate(centres), np.float32)


def _model_file() -> Path:
    """mediapipe's model file; if the package or its file is not there, the copy that is part of the worker."""
    found = importlib.util.find_spec("mediapipe")  # finds the package without importing it
    in_package = Path(found.origin).parent / MODEL if found and found.origin else None
    return in_package if in_package and in_package.is_file() else MODELS / Path(MODEL).name
