"""The layouts in which face data is published: each module recognises and reads one."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from training.datasets import DatasetError
from training.preparing.layouts import affectnet, ckplus, class_folders, fer2013, indexed, kdef, rafdb
from training.preparing.record import Listing
from worker.contract.messages import EMOTIONS


class Layout(NamedTuple):
    """`recognises` reads names only; `read` raises DatasetError if a file is missing or broken."""

    name: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path], Listing]


# Tried in this order. Any other layout would also pass for class folders, so these come last.
LAYOUTS = (
    Layout("a prepared set", indexed.recognises, indexed.read),
    Layout("FER-2013's csv", fer2013.recognises, fer2013.read),
    Layout("RAF-DB as published", rafdb.recognises, rafdb.read),
    Layout("CK+ as published", ckplus.recognises, ckplus.read),
    Layout("AffectNet as published", affectnet.recognises, affectnet.read),
    Layout("KDEF's file names", kdef.recognises, kdef.read),
    Layout("class folders", class_folders.recognises, class_folders.read),
)


def layout_of(source: Path) -> Layout:
    """The layout of a folder or csv; DatasetError if it has none of them."""
    if not source.exists():
        raise DatasetError(f"{source}: no such file or folder; name one that holds face data")
    try:
        for layout in LAYOUTS:
            if layout.recognises(source):
                return layout
    except OSError as failure:
        raise DatasetError(f"{source}: {failure.strerror}") from None
    *others, last = (layout.name for layout in LAYOUTS)
    raise DatasetError(f"{source}: no face data in a known layout; the layouts are {', '.join(others)} and {last}")


def read_source(source: Path, find_faces: bool = False) -> Listing:
    """Every labelled picture of a folder or csv; DatasetError if there is none.

    With `find_faces`, the pictures of class folders are not crops.
    """
    layout = layout_of(source)
    listing = layout.read(source)
    if find_faces and layout.read is class_folders.read:
        listing.records = [replace(record, whole=True) for record in listing.records]
    if not listing.records:
        reasons = Counter(f"{r.reason}: {r.detail}" if r.detail else r.reason for r in listing.removed)
        shown = "; ".join(f"{count} {reason}" for reason, count in reasons.most_common(5))
        raise DatasetError(
            f"{source}: no picture labelled with one of {', '.join(EMOTIONS)}" + (f" ({shown})" if shown else "")
        )
    return listing
