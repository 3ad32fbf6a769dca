"""KDEF (Lundqvist, Flykt and Öhman, 1998): the labels are in the file names; folders do not matter.

The published pictures, 562x762, show persons in front of a wall, so the faces have to be cut out.
"""

from collections.abc import Iterator
from pathlib import Path

from training.datasets.folder import picture_files
from training.datasets.labels import kdef_label
from training.preparing.record import Record, Removal, origin


def recognises(source: Path) -> bool:
    """A folder in which most pictures have names of KDEF."""
    named = [kdef_label(path.stem) is not None for path in picture_files(source)] if source.is_dir() else []
    return sum(named) * 2 > len(named)


def read(source: Path) -> Iterator[Record | Removal]:
    """The pictures, each with its person. KDEF has no published split."""
    for path in picture_files(source):
        where, label = origin(path, source), kdef_label(path.stem)
        if label is None:
            yield Removal("kdef", where, "not a name of KDEF", path.stem)
        else:
            yield Record("kdef", where, path, label.emotion, label.person, whole=True)
