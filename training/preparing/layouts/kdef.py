"""KDEF (Lundqvist, Flykt and Öhman, 1998): the labels are in the file names; folders do not matter.

The published pictures, 562x762, show persons in front of a wall, so the faces have to be cut out.
"""

from pathlib import Path

from training.datasets.folder import picture_files
from training.datasets.labels import kdef_label
from training.preparing.record import Listing, Record, Removal, origin


def recognises(source: Path) -> bool:
    """A folder in which most pictures have names of KDEF."""
    named = [kdef_label(path.stem) is not None for path in picture_files(source)] if source.is_dir() else []
    return sum(named) * 2 > len(named)


def read(source: Path) -> Listing:
    """The pictures, each with its person. KDEF has no published split."""
    listing = Listing()
    for path in picture_files(source):
        where = origin(path, source)
        label = kdef_label(path.stem)
        if label is None:
            listing.removed.append(Removal("kdef", where, "not a name of KDEF", path.stem))
        else:
            listing.records.append(Record("kdef", where, path, label.emotion, label.person, whole=True))
    return listing
