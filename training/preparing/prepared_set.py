"""A prepared set on disk.

SET/train/happiness/kdef-AF01HAS-1c0f23ab.png    a picture; so in validation/, and in test/ if there is one
SET/train/index.csv                              the label and the origin of every picture
SET/removed.csv                                  the pictures left out, with reasons
SET/prepared.json                                the settings of the set; written last
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import msgspec

from training.datasets import DatasetError
from training.datasets.index import Entry, write_index
from training.preparing.face import ExaminedFace
from training.preparing.record import SPLITS, Removal, Split
from training.preparing.threads import in_threads
from training.whole_file import json_bytes
from worker.contract.messages import EMOTIONS

SUMMARY = "prepared.json"
REMOVED = "removed.csv"

# Settings that are not compared; `pictures` is compared instead, because pictures may be moved.
_PATHS = ("sources", "validation", "test", "votes")

_REMOVED_COLUMNS = ("origin", "source", "reason", "detail")


@dataclass(frozen=True)
class PreparedSet:
    """A prepared set, with its pictures of each emotion in each split, and those of each source in each split."""

    folder: Path
    counts: dict[Split, dict[str, int]]
    sources: dict[str, dict[Split, int]]
    removals: tuple[Removal, ...]


class _Summary(msgspec.Struct):
    """prepared.json. `pictures` is the fingerprint of the pictures that the set was made of."""

    version: int
    settings: dict[str, Any] = msgspec.field(name="wish")  # its name in sets of version 1
    pictures: str
    counts: dict[Split, dict[str, int]]
    sources: dict[str, dict[Split, int]]
    removed: dict[str, int]


_VERSION = 1


def write_set(
    folder: Path,
    faces: Sequence[ExaminedFace],
    weights: dict[str, float],
    removed: Sequence[Removal],
    settings: dict[str, Any],
    fingerprint: str,
) -> None:
    """Write faces, each with a split, into `folder`; `weights` are those of emotions in training, 1 if missing.

    `settings` and `fingerprint` are compared when the set is prepared again.
    """
    used = [split for split in SPLITS if any(face.record.split == split for face in faces)]
    for split in used:
        of_split = [face for face in faces if face.record.split == split]
        _write_split(folder / split, of_split, weights if split == "train" else {})
    _write_removed(folder / REMOVED, removed)
    labels = Counter((face.record.split, face.record.emotion) for face in faces)
    origins = Counter((face.record.source, face.record.split) for face in faces)
    summary = _Summary(
        version=_VERSION,
        settings=settings,
        pictures=fingerprint,
        counts={split: {e: labels[split, e] for e in EMOTIONS if labels[split, e]} for split in used},
        sources={
            source: {split: origins[source, split] for split in used if origins[source, split]}
            for source in sorted({face.record.source for face in faces})
        },
        removed=dict(sorted(Counter(removal.reason for removal in removed).items())),
    )
    (folder / SUMMARY).write_bytes(json_bytes(summary))


def read_set(folder: Path) -> PreparedSet:
    """The prepared set in `folder`; DatasetError if there is none."""
    summary = _read_summary(folder)
    try:
        with (folder / REMOVED).open(newline="", encoding="utf-8") as file:
            removals = tuple(Removal(**row) for row in csv.DictReader(file))
    except (OSError, TypeError, UnicodeDecodeError, csv.Error) as failure:
        raise DatasetError(f"{folder / REMOVED}: {failure}; remove {folder} and prepare it anew") from None
    return PreparedSet(folder, summary.counts, summary.sources, removals)


def is_made(out: Path, settings: dict[str, Any], fingerprint: str) -> bool:
    """Whether `out` is already the set of these settings and pictures; DatasetError if it is anything else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not (out / SUMMARY).is_file():
        raise DatasetError(f"{out}: holds something else; name another --out")
    summary = _read_summary(out)
    different = [key for key in settings if key not in _PATHS and summary.settings.get(key) != settings[key]]
    if summary.pictures != fingerprint:
        different.insert(0, "pictures")
    if different:
        raise DatasetError(f"{out}: a set prepared with other {', '.join(different)}; name another --out, or remove it")
    return True


def _read_summary(folder: Path) -> _Summary:
    try:
        return msgspec.json.decode((folder / SUMMARY).read_bytes(), type=_Summary)
    except OSError as failure:
        raise DatasetError(f"{folder / SUMMARY}: {failure.strerror}; name a set of `training prepare`") from None
    except msgspec.DecodeError as wrong:
        raise DatasetError(f"{folder / SUMMARY}: {wrong}; remove {folder} and prepare it anew") from None


def _write_split(folder: Path, faces: Sequence[ExaminedFace], weights: dict[str, float]) -> None:
    for emotion in {face.record.emotion for face in faces}:
        (folder / emotion).mkdir(parents=True)
    write_index(folder, in_threads(lambda face: _write_face(face, folder, weights), faces, f"writing {folder.name}"))


def _write_face(face: ExaminedFace, folder: Path, weights: dict[str, float]) -> Entry:
    record, pixels = face.record, face.pixels()
    grey = bool((pixels == pixels[..., :1]).all())
    _, content = cv2.imencode(".png", pixels[..., 0] if grey else pixels)
    # The source and the picture, as words for people. The digest makes the name unique.
    words = re.sub("[^A-Za-z0-9]+", "-", f"{record.source}-{Path(record.origin).stem}")
    file = f"{record.emotion}/{words}-{face.likeness.digest.hex()[:8]}.png"
    # Not imwrite: if the disk is full, it only returns False.
    (folder / file).write_bytes(content.tobytes())
    weight = weights.get(record.emotion, 1.0)
    return Entry(file, record.emotion, record.person, record.source, record.origin, weight, record.votes)


def _write_removed(path: Path, removed: Sequence[Removal]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_REMOVED_COLUMNS)
        writer.writerows([r.origin, r.source, r.reason, r.detail] for r in sorted(removed))
