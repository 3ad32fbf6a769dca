"""Accuracy of the shipped ensemble against the size, sharpness, contrast and turn of a face.

    python -m tests.benchmarks.readability --clear FOLDER... --turned FOLDER... [--faces 120]

Each FOLDER is one that `training evaluate` takes; its faces must not be those of the training. The faces of `--clear`
are made smaller, blurred, darker and so on. Those of `--turned` are used as they are, because no filter turns a head.
Every curve is drawn over the measure of `worker.perception.readability`, as the worker takes it, on the box that the
detector finds in the changed picture. docs/readability.md shows the result.
"""

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from tests.benchmarks.ruler import write_down
from training.datasets.folder import read_dataset
from worker.contract.messages import EMOTIONS
from worker.perception.emotions import Ensemble
from worker.perception.faces import Detection, FaceDetector
from worker.perception.manifest import MODELS
from worker.perception.preprocessing import Image, face_crop, padded_square
from worker.perception.readability import MAX_TURN, Measures, measured, reason

SIDE = 160  # pixels of a clear face, before it is changed
ROOM = 3.0  # side of a picture, in sides of the face in its middle, for the detector's windows
JPEG_QUALITY = 85

PER_TURN = 150
TURNS = (0, 5, 10, 16, 20, 25, 29, 33, 37, 43, 48, 91)  # degrees


class Read(NamedTuple):
    """A face, what it shows, what was read, and its measures. `level` is the strength of the change."""

    level: float
    emotion: str
    read: str
    measures: Measures
    share: float


def _smaller(picture: Image, pixels: float) -> Image:
    return _resized(picture, pixels / SIDE)


def _enlarged(picture: Image, pixels: float) -> Image:
    """A face of so many pixels, shown at its full size, as a client enlarges a poor stream."""
    small = _resized(picture, pixels / SIDE)
    return np.asarray(cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def _blurred(picture: Image, sigma: float) -> Image:
    """`sigma` in sides of the face."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma * SIDE), np.uint8)


def _darker(picture: Image, gain: float) -> Image:
    return np.asarray(np.rint(picture * gain), np.uint8)


def _paler(picture: Image, gain: float) -> Image:
    return np.asarray(np.rint(128 + (picture.astype(np.float32) - 128) * gain), np.uint8)


def _resized(picture: Image, scale: float) -> Image:
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=method), np.uint8)


CHANGES: dict[str, tuple[Callable[[Image, float], Image], tuple[float, ...], str]] = {
    "smaller": (_smaller, (12, 16, 20, 24, 28, 32, 36, 40, 48, 64, 96), "side"),
    "enlarged": (_enlarged, (10, 14, 18, 24, 32, 48), "sharpness"),
    "blurred": (_blurred, (0.01, 0.02, 0.03, 0.04, 0.06, 0.1), "sharpness"),
    "darker": (_darker, (0.05, 0.1, 0.15, 0.2, 0.3, 0.5), "contrast"),
    "paler": (_paler, (0.05, 0.1, 0.15, 0.2, 0.3, 0.5), "contrast"),
}
"""Name -> the change, its levels, and the measure that it moves."""


class Reader:
    """The worker's detector and ensemble."""

    def __init__(self) -> None:
        cv2.setNumThreads(1)
        self._detector = FaceDetector()
        self._ensemble = Ensemble.load(MODELS)

    def face(self, picture: Image) -> Detection | None:
        faces = self._detector.detect_in_picture(picture)
        return max(faces, key=lambda face: face.box[2], default=None)

    def centred(self, picture: Image, side: int | None) -> Image | None:
        """The square around the face, ROOM faces wide, the face scaled to `side` pixels; None if no face is found."""
        margin = max(picture.shape[:2])
        room = cv2.copyMakeBorder(picture, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
        if margin < 2 * SIDE:  # a cut-out face of FER-2013 has 48 pixels
            room = _resized(np.asarray(room, np.uint8), 2 * SIDE / margin)
        face = self.face(np.asarray(room, np.uint8))
        if face is None:
            return None
        x, y, w, h = face.box
        whole = round(max(w, h) * ROOM)
        square = padded_square(
            np.asarray(room, np.uint8), round(x + w / 2 - whole / 2), round(y + h / 2 - whole / 2), whole
        )
        return square if side is None else _resized(square, side * ROOM / whole)

    def read(self, pictures: Sequence[tuple[float, str, Image]]) -> list[Read]:
        """Read the face of each picture (level, emotion, pixels). Pictures in which none is found are left out."""
        found = []
        for level, emotion, picture in pictures:
            stored = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
            shown = np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR), np.uint8)
            face = self.face(shown)
            if face is not None:
                found.append((level, emotion, measured(shown, face), face_crop(shown, face.box)))
        scores = self._ensemble.predict([crop for *_, crop in found]).scores
        return [
            Read(level, emotion, EMOTIONS[int(row.argmax())], measures, float(row.max()))
            for (level, emotion, measures, _), row in zip(found, scores, strict=True)
        ]


def curves(reader: Reader, faces: Sequence[tuple[str, Image]]) -> dict[str, list[dict[str, Any]]]:
    """Change -> a row for each level, the unchanged faces last."""
    unchanged = reader.read([(1.0, emotion, picture) for emotion, picture in faces])
    good = _accuracy(unchanged)
    table = {"unchanged": [_row(unchanged, len(faces), "side", good)]}
    for name, (change, levels, measure) in CHANGES.items():
        table[name] = []
        for level in levels:
            read = reader.read([(level, emotion, change(picture, level)) for emotion, picture in faces])
            table[name].append(_row(read, len(faces), measure, good))
    return table


def turns(reader: Reader, pictures: Iterator[tuple[str, Image]]) -> list[dict[str, Any]]:
    """A row for each range of turn, of at most PER_TURN pictures."""
    chosen: dict[int, list[tuple[float, str, Image]]] = defaultdict(list)
    for emotion, picture in pictures:
        square = reader.centred(picture, SIDE)
        face = None if square is None else reader.face(square)
        if square is not None and face is not None:
            at = int(np.searchsorted(TURNS, measured(square, face).turn, side="right"))
            if len(chosen[at]) < PER_TURN:
                chosen[at].append((0.0, emotion, square))
    read = [one for some in chosen.values() for one in reader.read(some)]
    facing = _accuracy([one for one in read if one.measures.turn < TURNS[3]])
    ranges = [[one for one in read if low <= one.measures.turn < high] for low, high in pairwise(TURNS)]
    return [
        {"from": low, **_row(some, len(some), "turn", facing)} for low, some in zip(TURNS, ranges, strict=False) if some
    ]


def _row(read: Sequence[Read], pictures: int, measure: str, good: float) -> dict[str, Any]:
    if not read:
        return {"level": None, "pictures": pictures, "found": 0}
    label, times = Counter(one.read for one in read).most_common(1)[0]
    refused = Counter(reason(one.measures) for one in read)
    return {
        "level": read[0].level,
        "pictures": pictures,
        "found": len(read),
        measure: round(float(np.median([getattr(one.measures, measure) for one in read])), 3),
        "accuracy": round(_accuracy(read), 3),
        "macro_recall": round(_macro_recall(read), 3),
        "of_good": round(_accuracy(read) / good, 3),
        "read_most": f"{label} {times / len(read):.0%}",
        "unreadable": {str(why): count for why, count in refused.items() if why is not None},
    }


def _accuracy(read: Sequence[Read]) -> float:
    return float(np.mean([one.read == one.emotion for one in read]))


def _macro_recall(read: Sequence[Read]) -> float:
    shown = {one.emotion for one in read}
    return float(np.mean([_accuracy([one for one in read if one.emotion == each]) for each in shown]))


def cost_ms(reader: Reader, picture: Image) -> float:
    """The time of all measures of one face."""
    face = reader.face(picture)
    if face is None:
        raise SystemExit("no face found in the first picture")
    begun = time.process_time()
    for _ in range(1000):
        measured(picture, face)
    return time.process_time() - begun


def _pictures(folder: Path, limit: int | None = None) -> Iterator[tuple[str, Image]]:
    pictures = read_dataset(folder).pictures
    order = np.random.default_rng(1).permutation(len(pictures))[:limit]
    for n in order:
        pixels = pictures[n].pixels()
        if pixels is not None:
            yield EMOTIONS[pictures[n].label], pixels


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--clear", type=Path, nargs="+", required=True)
    ask.add_argument("--turned", type=Path, nargs="+", required=True)
    ask.add_argument("--faces", type=int, default=60, help="faces of each folder of --clear")
    given = ask.parse_args()
    reader = Reader()
    faces = [
        (emotion, square)
        for folder in given.clear
        for emotion, picture in _pictures(folder, given.faces)
        if (square := reader.centred(picture, SIDE)) is not None
    ]
    result: dict[str, Any] = {"cost_ms": round(cost_ms(reader, faces[0][1]), 3), **curves(reader, faces)}
    result["turned"] = {folder.name: turns(reader, _pictures(folder)) for folder in given.turned}
    for name, rows in result.items():
        for title, some in rows.items() if isinstance(rows, dict) else [(name, rows)] if name != "cost_ms" else ():
            table = Table(*some[0], title=title)
            for row in some:
                table.add_row(*map(str, row.values()))
            Console(width=140).print(table)
    write_down("readability", {"sides": SIDE, "max_turn": MAX_TURN, **result})


if __name__ == "__main__":
    main()
