"""AffectNet (Mollahosseini, Hasani and Mahoor, 2017) as published: pictures from the web, and annotations as csv.

Manually_Annotated_Images has training.csv and validation.csv, Automatically_Annotated_Images has
automatically_annotated.csv; each may lie one folder deeper, as the zips unpack. The published box only says which face
is labelled; its crop is made from the detector's box, as in the worker. validation.csv may lack the line of column
names.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from training.datasets import DatasetError
from training.preparing.record import Record, Removal, Split, origin
from worker.contract.messages import EMOTIONS
from worker.perception.preprocessing import Box

_COLUMNS = (
    *("subDirectory_filePath", "face_x", "face_y", "face_width", "face_height"),
    *("facial_landmarks", "expression", "valence", "arousal"),
)
_NUMBERED = (
    *("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger"),
    *("contempt", "none", "uncertain", "not a face"),
)
_EXPRESSIONS = {str(number): expression for number, expression in enumerate(_NUMBERED)}

# A folder of pictures, its csv, and its split.
_PARTS: tuple[tuple[str, str, Split], ...] = (
    ("Manually_Annotated_Images", "training.csv", "train"),
    ("Manually_Annotated_Images", "validation.csv", "validation"),
    ("Automatically_Annotated_Images", "automatically_annotated.csv", "train"),
)


def recognises(source: Path) -> bool:
    """A folder with one of the folders of pictures; `read` checks for the csv."""
    return any(_find(source, images) for images, _, _ in _PARTS)


def read(source: Path) -> Iterator[Record | Removal]:
    """The labelled faces; DatasetError if there is no csv, or one is broken."""
    parts = [(_find(source, images), _find(source, table), split) for images, table, split in _PARTS]
    if not any(images and table for images, table, _ in parts):
        raise DatasetError(f"{source}: pictures of AffectNet, but no training.csv; unpack the lists there")
    for images, table, split in parts:
        if images and table:
            for row in _rows(table):
                yield _picture(row, images, split, source)


def _find(source: Path, name: str) -> Path | None:
    return next((path for pattern in (name, f"*/{name}") for path in sorted(source.glob(pattern))), None)


def _rows(table: Path) -> Iterator[dict[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8") as file:
            for line, fields in enumerate(csv.reader(file), start=1):
                if fields[:1] == [_COLUMNS[0]]:
                    continue
                is_row = len(fields) == len(_COLUMNS) and fields[6].strip() in _EXPRESSIONS
                if not is_row or Path(fields[0]).is_absolute():
                    raise DatasetError(f"{table}, line {line}: not {', '.join(_COLUMNS)}; unpack it anew")
                yield dict(zip(_COLUMNS, fields, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as failure:
        raise DatasetError(f"{table}: {failure}; unpack it anew") from None


def _picture(row: dict[str, str], images: Path, split: Split, source: Path) -> Record | Removal:
    path = images / row["subDirectory_filePath"]
    expression = _EXPRESSIONS[row["expression"].strip()]
    record = Record("affectnet", origin(path, source), path, expression, split=split, whole=True, face=_box(row))
    if expression not in EMOTIONS:
        return record.removed(expression)
    return record if path.is_file() else record.removed("unreadable", "listed, but not there")


def _box(row: dict[str, str]) -> Box | None:
    """The box of the labelled face; None if it is unknown (NULL, or a size of 0)."""
    try:
        x, y, width, height = (float(row[f"face_{side}"]) for side in ("x", "y", "width", "height"))
    except ValueError:
        return None
    return (x, y, width, height) if width > 0 and height > 0 else None
