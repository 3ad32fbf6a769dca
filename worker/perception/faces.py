"""Finding faces: BlazeFace, looking through windows.

BlazeFace (Bazarevsky et al., 2019; the short-range model that MediaPipe ships) sees 128x128 pixels and finds faces from
about a tenth of that upwards. A gallery of 25 shown to it whole has none. So it looks through overlapping square
windows, some as high as the frame and some half as high, and what the windows find is merged.

The model file is read out of the mediapipe package and run by the interpreter that also runs the emotion models:
`import mediapipe` takes seconds and brings TensorFlow along where that is installed, and its graph takes 1.6 ms a
window where the interpreter takes 1.0 (measured on one core, November 2026).
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
from worker.perception.preprocessing import Box, Image, padded_square

Floats = npt.NDArray[np.float32]

MODEL = "modules/face_detection/face_detection_short_range.tflite"
SIDE = 128  # pixels that BlazeFace sees, both ways
ANCHOR_GRIDS = ((16, 2), (8, 6))  # cells along a side, and anchors in each cell

# Windows are squares of these shares of the frame's shorter side, half a window apart: 24 of them at 16:9. Where a face
# is found that is smaller than SMALL of the smallest of them, there may be others too small to be found: then it is
# looked through 50 finer ones as well.
COARSE_SHARES = (1.0, 0.5)
FINE_SHARES = (1 / 3,)
SMALL = 0.15

# A face that was found is followed through a window of which it takes this share or more, with so many of its widths
# free around it to move; neighbours are followed through the same window. In rendered galleries of 25 and 9 people that
# is 10 and 4 windows a frame (16 and 5 where those of the first frame were kept), and MobileNetV2 is right about 0.71
# and 0.67 of the faces (0.69 and 0.63): faces of one size in their windows have boxes of one kind (November 2026).
FOLLOW_SHARE = 0.16
FOLLOW_MARGIN = 0.3

# On rendered galleries (9 to 49 people, 720p and 1080p) every face scores 0.36 or more in its best window, and so do
# many things in clips without faces. Looked at once more, from a window that is LOOK_AGAIN times the face and has it in
# the middle, faces score 0.73 or more and other things 0.68 or less.
CANDIDATE = 0.30
SURE = 0.85
LOOK_AGAIN = 3.0
SURE_AT_SECOND_LOOK = 0.70

SAME_FACE_IOU = 0.3
INSIDE_SHARE = 0.6  # a box with this share inside a better one is a part of that face

# A window is looked through again when it has changed by this many grey levels on average. People
# who are already seen are left out of that: a face, and the body that moves with it, so many widths and heights around.
THUMBNAIL_SCALE = 8
CHANGED = 2.0
BODY_ASIDE = 1.0
BODY_ABOVE = 0.75
BODY_BELOW = 3.0


@dataclass(frozen=True)
class Detection:
    """A face: its box in pixels of the picture (it may reach beyond the edge), and BlazeFace's confidence, 0 to 1."""

    box: Box
    score: float


class Window(NamedTuple):
    """A square part of the picture, in pixels."""

    x: int
    y: int
    side: int


class Thumbnail(NamedTuple):
    """What a window shows, small: grey pixels [rows, columns], and 1 where no people are known, else 0."""

    pixels: Image
    unknown: npt.NDArray[np.uint8]


class _Candidates(NamedTuple):
    """What was seen through some windows: boxes [n, 4] in pixels of the picture, and scores [n]."""

    boxes: Floats
    scores: Floats

    def and_also(self, other: "_Candidates") -> "_Candidates":
        return _Candidates(np.concatenate([self.boxes, other.boxes]), np.concatenate([self.scores, other.scores]))


class FaceDetector:
    """Finds faces in pictures and in frames that follow each other. Holds one interpreter; not for several threads."""

    def __init__(self) -> None:
        self._blazeface = TFLiteModel(_model_file())
        self._anchors = _anchors()

    def detect_in_picture(self, image: Image) -> list[Detection]:
        """All faces of a picture, looked for everywhere."""
        return next(self.detect_in_frames([image]))

    def detect_in_frames(self, images: Iterable[Image]) -> Iterator[list[Detection]]:
        """The faces of each frame of a short stretch of video.

        The first frame is looked at everywhere; the others only around the faces of the one before and where something
        changed, unless a face went missing: then everywhere again.
        """
        everywhere: list[Window] = []
        fine: list[Window] = []
        seen: dict[Window, Thumbnail] = {}  # what a window showed when it was last looked through
        before: list[Detection] = []
        shape: tuple[int, ...] = ()
        for image in images:
            if image.shape != shape:
                shape = image.shape
                everywhere, fine = (windows(shape[1], shape[0], shares) for shares in (COARSE_SHARES, FINE_SHARES))
                seen, before = {}, []
            now = _thumbnails(image, [*everywhere, *fine], before)
            chosen = [w for w in everywhere if w not in seen or _changed(seen[w], now[w])]
            candidates = self._look(image, [*windows_around(before), *chosen])
            faces = self._settle(image, candidates)
            small = fine and any(face.box[2] < SMALL * everywhere[-1].side for face in faces)
            if small:
                everywhere, fine = everywhere + fine, []
            rest = [w for w in everywhere if w not in chosen]
            if rest and (small or not _seen_again(before, faces)):
                faces = self._settle(image, candidates.and_also(self._look(image, rest)))
                chosen = everywhere
            seen.update({w: now[w] for w in chosen})
            before = faces
            yield faces

    def _look(self, image: Image, chosen: list[Window]) -> _Candidates:
        """Candidates through every chosen window, not yet merged."""
        per_window = [self._look_through(image, window) for window in chosen]
        return _Candidates(
            np.concatenate([np.empty((0, 4), np.float32), *(found.boxes for found in per_window)]),
            np.concatenate([np.empty(0, np.float32), *(found.scores for found in per_window)]),
        )

    def _look_through(self, image: Image, window: Window) -> _Candidates:
        x, y, side = window
        how = cv2.INTER_AREA if side > SIDE else cv2.INTER_LINEAR
        view = cv2.resize(padded_square(image, x, y, side), (SIDE, SIDE), interpolation=how)
        batch = cv2.cvtColor(view, cv2.COLOR_BGR2RGB)[np.newaxis].astype(np.float32) / 127.5 - 1
        raw_boxes, logits = self._blazeface(batch)
        # sigmoid(z) >= CANDIDATE, asked of z: most of the 896 anchors need no exponential
        likely = logits[0, :, 0] >= math.log(CANDIDATE / (1 - CANDIDATE))
        scores = 1 / (1 + np.exp(-logits[0, likely, 0]))
        centres = self._anchors[likely] + raw_boxes[0, likely, :2] / SIDE
        sizes = raw_boxes[0, likely, 2:4] / SIDE
        boxes = np.concatenate([centres - sizes / 2, sizes], axis=1) * side + np.array([x, y, 0, 0])
        return _Candidates(boxes.astype(np.float32), scores.astype(np.float32))

    def _settle(self, image: Image, candidates: _Candidates) -> list[Detection]:
        """Merge what several windows saw, and look again where it is not sure."""
        faces: list[Detection] = []
        for box, score in _merged(candidates):
            face = Detection(box, score) if score >= SURE else self._look_again(image, box)
            if face is not None and not _taken(face, faces):
                faces.append(face)
        return faces

    def _look_again(self, image: Image, box: Box) -> Detection | None:
        x, y, w, h = box
        side = round(max(w, h) * LOOK_AGAIN)
        window = Window(round(x + w / 2 - side / 2), round(y + h / 2 - side / 2), side)
        boxes, scores = self._look_through(image, window)
        scores = np.where(_overlap(np.asarray(box, np.float32), boxes)[0] >= SAME_FACE_IOU, scores, 0)
        if not len(scores) or scores.max() < SURE_AT_SECOND_LOOK:
            return None
        best = int(scores.argmax())
        return Detection(_as_box(boxes[best]), float(scores[best]))


def windows(width: int, height: int, shares: Sequence[float] = COARSE_SHARES) -> list[Window]:
    """The windows through which a picture of this size is looked at, the largest first."""
    return [
        Window(x, y, side)
        for side in (max(1, round(min(width, height) * share)) for share in shares)
        for y in _starts(height, side)
        for x in _starts(width, side)
    ]


def windows_around(faces: Sequence[Detection]) -> list[Window]:
    """Windows through which these faces can be found again, as few as a greedy choice comes to."""
    if not faces:
        return []
    boxes = _boxes(faces)
    sizes = boxes[:, 2:].max(axis=1)
    room = (FOLLOW_MARGIN * sizes)[:, np.newaxis]
    left_top, right_bottom = boxes[:, :2] - room, boxes[:, :2] + boxes[:, 2:] + room
    # One for every two faces: its left edge is where the one's room begins, its upper edge where the other's does.
    one, other = (index.ravel() for index in np.indices((len(faces), len(faces))))
    sides = np.minimum(sizes[one], sizes[other]) / FOLLOW_SHARE
    corners = np.stack([left_top[one, 0], left_top[other, 1]], axis=1)
    shown = (
        (left_top >= corners[:, np.newaxis]).all(axis=2)
        & (right_bottom <= (corners + sides[:, np.newaxis])[:, np.newaxis]).all(axis=2)
        & (sizes >= FOLLOW_SHARE * sides[:, np.newaxis] * (1 - 1e-5))
    )
    chosen = []
    left = np.ones(len(faces), bool)
    while left.any():
        most = int((shown & left).sum(axis=1).argmax())
        those = shown[most] & left
        middle = (left_top[those].min(axis=0) + right_bottom[those].max(axis=0)) / 2
        x, y = np.rint(middle - sides[most] / 2)
        chosen.append(Window(int(x), int(y), round(float(sides[most]))))
        left &= ~those
    return chosen


def _starts(length: int, side: int) -> list[int]:
    """Where windows of `side` begin, evenly, at most half a window apart, so that the last ends with the picture."""
    steps = math.ceil((length - side) / (side / 2)) if length > side else 0
    return [round(i * (length - side) / steps) for i in range(steps + 1)] if steps else [0]


def _merged(candidates: _Candidates) -> Iterator[tuple[Box, float]]:
    """Non-maximum suppression in which a face's box is the mean, by score, of the boxes that agree on it."""
    order = np.argsort(-candidates.scores, kind="stable")
    boxes, scores = candidates.boxes[order], candidates.scores[order]
    left = np.ones(len(scores), bool)
    for i in range(len(scores)):
        if not left[i]:
            continue
        iou, inside = _overlap(boxes[i], boxes)
        agreeing = left & (iou >= SAME_FACE_IOU)
        left &= ~(agreeing | (inside >= INSIDE_SHARE))
        weights = scores[agreeing]
        yield _as_box(weights @ boxes[agreeing] / weights.sum()), float(scores[i])


def _overlap(some: Floats, others: Floats) -> tuple[Floats, Floats]:
    """Of boxes [..., 4] with others that they broadcast with: intersection over union, and over the smaller of two."""
    shared = np.minimum(some[..., :2] + some[..., 2:], others[..., :2] + others[..., 2:])
    shared = np.maximum(shared - np.maximum(some[..., :2], others[..., :2]), 0)
    both = shared[..., 0] * shared[..., 1]
    area, areas = some[..., 2] * some[..., 3], others[..., 2] * others[..., 3]
    iou: Floats = both / (area + areas - both)
    inside: Floats = both / np.minimum(area, areas)
    return iou, inside


def _boxes(faces: Sequence[Detection]) -> Floats:
    return np.asarray([face.box for face in faces], np.float32).reshape(-1, 4)


def _taken(face: Detection, faces: list[Detection]) -> bool:
    """A second look can slip from a shadow of a face to the face itself, which is there already."""
    iou, inside = _overlap(_boxes([face]), _boxes(faces))
    return bool(((iou >= SAME_FACE_IOU) | (inside >= INSIDE_SHARE)).any())


def _seen_again(before: list[Detection], now: list[Detection]) -> bool:
    """Whether each of those who were seen before is seen now, about where it was."""
    iou, _ = _overlap(_boxes(before)[:, np.newaxis], _boxes(now))
    return bool((iou >= SAME_FACE_IOU / 2).any(axis=1).all())


def _thumbnails(image: Image, chosen: list[Window], people: list[Detection]) -> dict[Window, Thumbnail]:
    """What every window shows, small and grey, and where in it there are no people."""
    height, width = image.shape[:2]
    k = THUMBNAIL_SCALE
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    # Rounded up, and exact where it can be: a whole scale is several times faster.
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


def _changed(before: Thumbnail, now: Thumbnail) -> bool:
    return cv2.norm(before.pixels, now.pixels, cv2.NORM_L1, now.unknown) > CHANGED * now.pixels.size


def _as_box(values: Floats) -> Box:
    x, y, w, h = (float(value) for value in values)
    return x, y, w, h


def _anchors() -> Floats:
    """The centres of BlazeFace's 896 anchors [896, 2], x and y from 0 to 1."""
    centres = []
    for cells, repeats in ANCHOR_GRIDS:
        rows, columns = np.mgrid[:cells, :cells]
        centres.append(np.repeat(np.stack([columns, rows], axis=-1).reshape(-1, 2) + 0.5, repeats, axis=0) / cells)
    return np.asarray(np.concatenate(centres), np.float32)


def _model_file() -> Path:
    found = importlib.util.find_spec("mediapipe")  # finds the package without importing it
    if found is None or found.origin is None:
        raise FileNotFoundError("the package mediapipe, which brings the face model, is not installed")
    file = Path(found.origin).parent / MODEL
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing: install mediapipe 0.10.21, the last that brings its face model")
    return file
