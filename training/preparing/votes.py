"""FER+ (Barsoum et al., 2016): the votes of ten annotators on every picture of FER-2013.

Two forms are read: Microsoft's fer2013new.csv, with the rows of fer2013.csv in order, and a csv with a column `row`.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.datasets import DatasetError
from training.preparing.record import Record, Removal
from worker.contract.messages import EMOTIONS

_OTHERS = ("contempt", "unknown")
_NOT_A_FACE = "NF"


@dataclass(frozen=True)
class Votes:
    """The votes on one picture: for each of EMOTIONS, for contempt or unknown, and for "not a face"."""

    emotions: tuple[float, ...]
    others: float
    not_a_face: float


def read_votes(path: Path) -> dict[int, Votes]:
    """Row of FER-2013 -> votes; DatasetError if the file is missing or broken."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = (*EMOTIONS, *_OTHERS, _NOT_A_FACE)
            missing = [column for column in columns if column not in (reader.fieldnames or [])]
            if missing:
                raise DatasetError(f"--votes {path}: no column {missing[0]!r}; name FER+'s fer2013new.csv")
            return {int(row.get("row", number)): _votes(row) for number, row in enumerate(reader)}
    except (OSError, UnicodeDecodeError, csv.Error) as failure:
        raise DatasetError(f"--votes {path}: {failure}; name FER+'s fer2013new.csv") from None
    except (TypeError, ValueError) as wrong:
        raise DatasetError(f"--votes {path}, line {reader.line_num}: {wrong}; download it anew") from None


def with_votes(records: Sequence[Record], votes: dict[int, Votes], path: Path) -> tuple[list[Record], list[Removal]]:
    """The records with their votes, and as removed the pictures that most annotators call "not a face".

    Raises DatasetError if no record has votes.
    """
    if not any(record.row in votes for record in records):
        raise DatasetError(
            f"--votes {path}: none of the pictures has votes; a picture of FER-2013 needs its row, "
            "from the csv or as the file's name in a folder called fer2013"
        )
    voted, removed = [], []
    for record in records:
        cast = None if record.row is None else votes.get(record.row)
        if cast is None:
            voted.append(record)
        elif cast.not_a_face > sum(cast.emotions) + cast.others:
            removed.append(record.removed("not a face", f"{cast.not_a_face:g} voted so"))
        else:
            voted.append(replace(record, votes=cast.emotions if any(cast.emotions) else None))
    return voted, removed


def _votes(row: dict[str, str]) -> Votes:
    return Votes(
        emotions=tuple(float(row[emotion]) for emotion in EMOTIONS),
        others=sum(float(row[other]) for other in _OTHERS),
        not_a_face=float(row[_NOT_A_FACE]),
    )
