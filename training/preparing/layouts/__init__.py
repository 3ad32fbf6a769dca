"""The layouts in which face data is published: each module recognises and reads one."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from training.datasets import DatasetError
from training.preparing.layouts import affectnet, ckplus, class_folders, fer2013, indexed, kdef, rafdb
from training.preparing.record import Record, Removal
from worker.contract.messages import EMOTIONS


class Layout(Protocol):
    """A module: `recognises` reads names only; `read` raises DatasetError if a file is missing or broken.

    A picture that its label rules out is read as a Removal.
    """

    def recognises(self, source: Path) -> bool: ...

    def read(self, source: Path) -> Iterator[Record | Removal]: ...


# Tried in this order. Any other layout would also pass for class folders, so these come last.
LAYOUTS: dict[str, Layout] = {
    "a prepared set": indexed,
    "FER-2013's csv": fer2013,
    "RAF-DB as published": rafdb,
    "CK+ as published": ckplus,
    "AffectNet as published": affectnet,
    "KDEF's file names": kdef,
    "class folders": class_folders,
}


def layout_of(source: Path) -> Layout:
    """The layout of a folder or csv; DatasetError if it has none of them."""
    if not source.exists():
        raise DatasetError(f"{source}: no such file or folder; name one that holds face data")
    try:
        for layout in LAYOUTS.values():
            if layout.recognises(source):
                return layout
    except OSError as failure:
        raise DatasetError(f"{source}: {failure.strerror}") from None
    *others, last = LAYOUTS
    raise DatasetError(f"{source}: no face data in a known layout; the layouts are {', '.join(others)} and {last}")


def read_source(source: Path, find_faces: bool = False) -> tuple[list[Record], list[Removal]]:
    """The pictures of a folder or csv: those to examine, and the removed ones; DatasetError if none is to examine.

    With `find_faces`, the pictures of class folders are not crops.
    """
    layout = layout_of(source)
    records: list[Record] = []
    removed: list[Removal] = []
    for picture in layout.read(source):
        if isinstance(picture, Removal):
            removed.append(picture)
        else:
            records.append(replace(picture, whole=True) if find_faces and layout is class_folders else picture)
    if not records:
        reasons = Counter(f"{r.reason}: {r.detail}" if r.detail else r.reason for r in removed)
        shown = "; ".join(f"{count} {reason}" for reason, count in reasons.most_common(5))
        raise DatasetError(
            f"{source}: no picture labelled with one of {', '.join(EMOTIONS)}" + (f" ({shown})" if shown else "")
        )
    return records, removed
