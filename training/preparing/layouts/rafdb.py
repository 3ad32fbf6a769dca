"""RAF-DB basic (Li, Deng and Du, 2017) as published: a list of labels, and aligned crops.

EmoLabel/list_patition_label.txt (its own spelling) has a line `train_00001.jpg 5` for each picture; the crop is
Image/aligned/train_00001_aligned.jpg. The beginning of the name is the published split.
"""

from collections.abc import Iterator
from pathlib import Path

from training.datasets import DatasetError
from training.preparing.record import Record, Removal, origin, published_split

_LABELS = "EmoLabel/list_patition_label.txt"
_ALIGNED = "Image/aligned"
_NUMBERED = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
_EMOTIONS = {str(number): emotion for number, emotion in enumerate(_NUMBERED, start=1)}


def recognises(source: Path) -> bool:
    """The folder that holds EmoLabel, or its parent."""
    return _root(source) is not None


def read(source: Path) -> Iterator[Record | Removal]:
    """The aligned crops; DatasetError if the list is broken or the crops are missing."""
    root = _root(source) or source
    aligned = root / _ALIGNED
    if not aligned.is_dir():
        raise DatasetError(f"{aligned}: no such folder; unpack RAF-DB's aligned.zip there")
    for number, line in enumerate(_lines(root / _LABELS), start=1):
        name, _, code = line.partition(" ")
        split = published_split(name.partition("_")[0])
        if split is None or code.strip() not in _EMOTIONS:
            raise DatasetError(
                f"{root / _LABELS}, line {number}: {line!r} is not like `train_00001.jpg 5`; unpack it anew"
            )
        path = aligned / f"{Path(name).stem}_aligned.jpg"
        record = Record("rafdb", origin(path, source), path, _EMOTIONS[code.strip()], split=split)
        yield record if path.is_file() else record.removed("unreadable", "listed, but not there")


def _root(source: Path) -> Path | None:
    return next((root for root in (source, source / "basic") if (root / _LABELS).is_file()), None)


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as failure:
        raise DatasetError(f"{path}: {failure}; unpack it anew") from None
