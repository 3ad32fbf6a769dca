"""index.csv, the index of a split of a prepared set: one row per picture, with its label and its origin.

`file` is relative to the split's folder, `person` is `SET:PERSON` or empty, and `votes_*` are the numbers of annotators
that voted for each emotion, or empty.
"""

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from training.datasets.dataset import DatasetError
from worker.contract.messages import EMOTIONS

INDEX = "index.csv"

VOTES = tuple(f"votes_{emotion}" for emotion in EMOTIONS)
COLUMNS = ("file", "emotion", "person", "source", "origin", "weight", *VOTES)


@dataclass(frozen=True)
class Entry:
    """One row: `file` is relative to the index, `votes` are counts in the order of EMOTIONS."""

    file: str
    emotion: str
    person: str | None
    source: str
    origin: str
    weight: float = 1.0
    votes: tuple[float, ...] | None = None


def read_index(folder: Path) -> list[Entry]:
    """The rows of FOLDER/index.csv; DatasetError if one is broken or names a missing file."""
    path = folder / INDEX
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or [])]
            if missing:
                raise DatasetError(f"{path}: no column {missing[0]!r}; make the set anew with `training prepare`")
            entries = [_entry(row, path, reader.line_num) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as failure:
        raise DatasetError(f"{path}: {failure}; make the set anew with `training prepare`") from None
    for entry in entries:
        if not (folder / entry.file).is_file():
            raise DatasetError(f"{path}: names {entry.file}, which is not there; restore it, or prepare the set anew")
    return entries


def write_index(folder: Path, entries: Iterable[Entry]) -> None:
    """Write FOLDER/index.csv with rows in the order of files, so that the same entries give the same bytes."""
    with (folder / INDEX).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for e in sorted(entries, key=lambda entry: entry.file):
            votes = [""] * len(VOTES) if e.votes is None else [f"{count:g}" for count in e.votes]
            writer.writerow([e.file, e.emotion, e.person or "", e.source, e.origin, f"{e.weight:.6g}", *votes])


def _entry(row: dict[str, str], path: Path, line: int) -> Entry:
    if row["emotion"] not in EMOTIONS:
        raise DatasetError(f"{path}, line {line}: emotion {row['emotion']!r} is none of {', '.join(EMOTIONS)}")
    votes = [row[column] for column in VOTES]
    try:
        weight = _number(row["weight"])
        counts = tuple(map(_number, votes)) if any(votes) else None
        if counts and not any(counts):
            raise ValueError
    except (TypeError, ValueError):
        raise DatasetError(
            f"{path}, line {line}: weight {row['weight']!r} and votes {votes} are not numbers from 0 up; "
            "correct them, or prepare the set anew"
        ) from None
    return Entry(row["file"], row["emotion"], row["person"] or None, row["source"], row["origin"], weight, counts)


def _number(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError
    return number
