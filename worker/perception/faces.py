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
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from worker.perception.interpreter import TFLiteModel
from worker.perception.manifest import MODELS
from worker.perception.preprocessing import Box, Image, padded_square

Floats = npt.NDArray[np.float32]

Candidates = npt.NDArray[np.float32]
"""What BlazeFace found in some windows, [n, 17]: boxes, scores, and keypoints (x, y of each), in pixels."""

KEYPOINTS = ("right eye", "left eye", "nose", "mouth", "right ear", "left ear")
"""BlazeFace's keypoints. Right and left are those of the person."""

MODEL = "modules/face_detection/face_detection_short_range.tflite"
INPUT_SIDE = 128  # pixels of BlazeFace's input, both ways
ANCHOR_GRIDS = ((16, 2), (8, 6))  # cells along a side, and anchors in each cell

# Windows are squares of these shares of the frame's shorter side, half a window apart: 24 windows at 16:9. If a
# detected face is smaller than SMALL_FACE of the smallest window, other faces may be too small to be detected. Then the
# frame is also searched in 50 finer windows.
COARSE_SHARES = (1.0, 0.5)
FINE_SHARES = (1 / 3,)
SMALL_FACE = 0.15

# In the next frame, a detected face is searched in a window. The face takes at least FOLLOW_SHARE of the window's side
# and has a free margin of FOLLOW_MARGIN face widths. Neighbours share a window. docs/tracking.md has the measurements.
FOLLOW_SHARE = 0.16
FOLLOW_MARGIN = 0.3

# A candidate with at least CERTAIN_SCORE is a face. Any other candidate is checked: it is put in the middle of a window
# of CHECK_SCALE times its size, and is a face if it scores MIN_CHECKED_SCORE there. docs/tracking.md has the
# measurements.
MIN_CANDIDATE_SCORE = 0.30
CERTAIN_SCORE = 0.85
CHECK_SCALE = 3.0
MIN_CHECKED_SCORE = 0.70

SAME_FACE_IOU = 0.3
PART_OF_FACE = 0.6  # a box with this share inside a better one is a part of that face

# A window is searched again if its grey levels changed by CHANGED_LEVELS on average. Known faces and their bodies are
# left out: BODY_ASIDE face widths beside each face, and BODY_ABOVE and BODY_BELOW face heights above and below it.
THUMBNAIL_SCALE = 8
CHANGED_LEVELS = 2.0
BODY_ASIDE = 1.0
BODY_ABOVE = 0.75
BODY_BELOW = 3.0


@dataclass(frozen=True)
class Detection:
    """A face: its box (it may reach beyond the edge), its detection score, 0 to 1, and the places of its KEYPOINTS.

    `keypoints` is x, y of each. All places are in pixels of the picture.
    """

    box: Box
    score: float
    keypoints: tuple[float, ...]


class Window(NamedTuple):
    """A square part of the picture, in pixels."""

    x: int
    y: int
    side: int


class Thumbnail(NamedTuple):
    """A small copy of a window: grey pixels [rows, columns], and a mask that is 0 where people are known, else 1."""

    pixels: Image
    unknown: npt.NDArray[np.uint8]


class FaceDetector:
    """Detects faces in single pictures and in consecutive frames. Holds one interpreter, so it is not thread-safe."""

    def __init__(self) -> None:
        self._blazeface = TFLiteModel(_model_file())
        self._anchors = _anchors()

    def detect_in_picture(self, image: Image) -> list[Detection]:
        """All faces of a picture [height, width, 3], searched in all windows."""
        return next(self.detect_in_frames([image]))

    def detect_in_frames(self, images: Iterable[Image]) -> Iterator[list[Detection]]:
        """The faces of each frame of a short video.

        The first frame is searched in all windows. The others are searched around the faces of the frame before and in
        the windows that have changed. If a face is missing then, the frame is searched in all windows too.
        """
        everywhere: list[Window] = []
        fine: list[Window] = []
        searched: dict[Window, Thumbnail] = {}  # each window as it was when it was last searched
        before: list[Detection] = []
        shape: tuple[int, ...] = ()
        for image in images:
            if image.shape != shape:
                shape = image.shape
                everywhere, fine = (windows(shape[1], shape[0], shares) for shares in (COARSE_SHARES, FINE_SHARES))
                searched, before = {}, []
            now = _thumbnails(image, [*everywhere, *fine], before)
            chosen = [w for w in everywhere if w not in searched or _has_changed(searched[w], now[w])]
            candidates = self._search(image, [*windows_around(before), *chosen])
            faces = self._detections(image, candidates)
            small = fine and any(face.box[2] < SMALL_FACE * everywhere[-1].side for face in faces)
            if small:
                everywhere, fine = everywhere + fine, []
            rest = [w for w in everywhere if w not in chosen]
            if rest and (small or not _all_found_again(before, faces)):
                faces = self._detections(image, np.concatenate([candidates, self._search(image, rest)]))
                chosen = everywhere
            searched.update({w: now[w] for w in chosen})
            before = faces
            yield faces

    def _search(self, image: Image, chosen: list[Window]) -> Candidates:
        """The candidates of all chosen windows, not merged yet."""
        return np.concatenate([np.empty((0, 17), np.float32), *(self._search_window(image, each) for each in chosen)])

    def _search_window(self, image: Image, window: Window) -> Candidates:
        x, y, side = window
        method = cv2.INTER_AREA if side > INPUT_SIDE else cv2.INTER_LINEAR
        view = cv2.resize(padded_square(image, x, y, side), (INPUT_SIDE, INPUT_SIDE), interpolation=method)
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

    def _detections(self, image: Image, candidates: Candidates) -> list[Detection]:
        """Merge the candidates of all windows, and check those that are not certain."""
        faces: list[Detection] = []
        for candidate in _merged(candidates):
            face = candidate if candidate.score >= CERTAIN_SCORE else self._checked(image, candidate.box)
            if face is not None and not _overlaps_any(face, faces):
                faces.append(face)
        return faces

    def _checked(self, image: Image, box: Box) -> Detection | None:
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


def windows(width: int, height: int, shares: Sequence[float] = COARSE_SHARES) -> list[Window]:
    """The windows in which a picture of this size is searched, the largest first."""
    return [
        Window(x, y, side)
        for side in (max(1, round(min(width, height) * share)) for share in shares)
        for y in _starts(height, side)
        for x in _starts(width, side)
    ]


def windows_around(faces: Sequence[Detection]) -> list[Window]:
    """Windows in which these faces can be found again. A greedy choice keeps their number small."""
    if not faces:
        return []
    boxes = _boxes(faces)
    sizes = boxes[:, 2:].max(axis=1)
    margins = (FOLLOW_MARGIN * sizes)[:, np.newaxis]
    left_top, right_bottom = boxes[:, :2] - margins, boxes[:, :2] + boxes[:, 2:] + margins
    # One possible window for every pair of faces: its left edge is the margin of the first face, its upper edge the
    # margin of the second.
    one, other = (index.ravel() for index in np.indices((len(faces), len(faces))))
    sides = np.minimum(sizes[one], sizes[other]) / FOLLOW_SHARE
    corners = np.stack([left_top[one, 0], left_top[other, 1]], axis=1)
    covered = (
        (left_top >= corners[:, np.newaxis]).all(axis=2)
        & (right_bottom <= (corners + sides[:, np.newaxis])[:, np.newaxis]).all(axis=2)
        & (sizes >= FOLLOW_SHARE * sides[:, np.newaxis] * (1 - 1e-5))
    )
    chosen = []
    left = np.ones(len(faces), bool)
    while left.any():
        best = int((covered & left).sum(axis=1).argmax())
        those = covered[best] & left
        middle = (left_top[those].min(axis=0) + right_bottom[those].max(axis=0)) / 2
        x, y = np.rint(middle - sides[best] / 2)
        chosen.append(Window(int(x), int(y), round(float(sides[best]))))
        left &= ~those
    return chosen


def _starts(length: int, side: int) -> list[int]:
    """Where windows of `side` begin: evenly, at most half a window apart, the last one at the end of the picture."""
    steps = math.ceil((length - side) / (side / 2)) if length > side else 0
    return [round(i * (length - side) / steps) for i in range(steps + 1)] if steps else [0]


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


def _overlaps_any(face: Detection, faces: list[Detection]) -> bool:
    """Whether `face` is one of `faces`, or a part of one. The second check may find a known neighbour."""
    iou, inside = _overlap(_boxes([face]), _boxes(faces))
    return bool(((iou >= SAME_FACE_IOU) | (inside >= PART_OF_FACE)).any())


def _all_found_again(before: list[Detection], now: list[Detection]) -> bool:
    """Whether each face of the frame before is there now, at about the same place."""
    iou, _ = _overlap(_boxes(before)[:, np.newaxis], _boxes(now))
    return bool((iou >= SAME_FACE_IOU / 2).any(axis=1).all())


def _thumbnails(image: Image, chosen: list[Window], people: list[Detection]) -> dict[Window, Thumbnail]:
    """The thumbnail of each window, with `people` masked."""
    height, width = image.shape[:2]
    k = THUMBNAIL_SCALE
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    # The size is rounded up. OpenCV is several times faster if the scale is a whole number.
    small = np.asarray(cv2.resize(grey, (-(-width // k), -(-height // k)), interpolation=cv2.INTER_AREA), np.uint8)
    unknown = np.ones(small.shape, np.uint8)
    for x, y, w, h in (face.box for face in people):
        top, bottom = (y - BODY_ABOVE * h) / k, (y + (1 + BODY_BELOW) * h) / k
        left, right = (x - BODY_ASIDE * w) / k, (x + (1 + BODY_ASIDE) * w) / k
        unknown[max(0, round(top)) : max(0, round(bottom)), max(0, round(left)) : max(0, round(right))] = 0
    return {
        w: Thumbnail(small[part], unknown[part])
        for w in chosen
        for part in [np.s_[w.y // k : (w.y + w.side) // k + 1, w.x // k : (w.x + w.side) // k + 1]]
    }


def _has_changed(before: Thumbnail, now: Thumbnail) -> bool:
    return cv2.norm(before.pixels, now.pixels, cv2.NORM_L1, now.unknown) > CHANGED_LEVELS * now.pixels.size


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
