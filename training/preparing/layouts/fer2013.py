"""FER-2013 (Goodfellow et al., 2013) as Kaggle's csv: fer2013.csv, icml_face_data.csv, or the challenge's train.csv.

Columns: 48x48 grey `pixels` as text, `emotion` as a number, and `Usage`, the published split. Names may have blanks.
"""

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.datasets import DatasetError
from training.preparing.record import Record, Removal, Split
from worker.perception.preprocessing import Image

_EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
_SPLITS: dict[str, Split] = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
_FILES = ("fer2013.csv", "icml_face_data.csv")


def recognises(source: Path) -> bool:
    """The csv itself, or its folder."""
    if source.is_dir():
        return any((source / name).is_file() for name in _FILES)
    if source.suffix.lower() != ".csv":
        return False
    with source.open(newline="", encoding="utf-8", errors="replace") as file:
        try:
            return {"emotion", "pixels"} <= set(_columns(next(csv.reader(file), [])))
        except csv.Error:  # a field without end: some other file
            return False


def read(source: Path) -> Iterator[Record | Removal]:
    """The rows, each with its number; DatasetError if the csv is cut off or a row has no emotion or usage."""
    path = next(source / name for name in _FILES if (source / name).is_file()) if source.is_dir() else source
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.reader(file)
            columns = _columns(next(rows, []))
            for number, row in enumerate(rows):
                yield _picture(dict(zip(columns, row, strict=False)), number, path)
    except (OSError, UnicodeDecodeError, csv.Error) as failure:
        raise DatasetError(f"{path}: {failure}; download it anew") from None


def _columns(header: list[str]) -> list[str]:
    return [name.strip().lower() for name in header]


def _picture(row: dict[str, str], number: int, path: Path) -> Record | Removal:
    where = f"{path.name}/{number:05d}"
    emotion, usage = row.get("emotion", "").strip(), row.get("usage", "").strip()
    if not (emotion.isdecimal() and int(emotion) < len(_EMOTIONS)) or (usage and usage not in _SPLITS):
        raise DatasetError(
            f"{path}, row {number}: emotion {emotion!r}, usage {usage!r} are not FER-2013's; download it anew"
        )
    pixels = _pixels(row.get("pixels", ""))
    if pixels is None:
        return Removal("fer2013", where, "unreadable", "not a square of numbers from 0 to 255")
    return Record("fer2013", where, pixels, _EMOTIONS[int(emotion)], split=_SPLITS.get(usage), row=number)


def _pixels(text: str) -> Image | None:
    try:
        values = np.array(text.split(), np.int64)
    except (ValueError, OverflowError):
        return None
    side = math.isqrt(values.size)
    if not side or side * side != values.size or values.min() < 0 or values.max() > 255:
        return None
    return values.astype(np.uint8).reshape(side, side)
