"""Pictures in folders that are named after classes; FER-2013, RAF-DB and CK+48 are often passed on like this.

A folder above them that is named train, validation, public_test or the like is the published split.
"""

from pathlib import Path

from training.datasets.folder import picture_files
from training.datasets.labels import folder_label
from training.preparing.record import Listing, Record, Removal, named_folder, origin, published_split


def recognises(source: Path) -> bool:
    """A folder with any picture."""
    return source.is_dir() and next(picture_files(source), None) is not None


def read(source: Path) -> Listing:
    """The pictures, which count as crops."""
    name = named_folder(source).name
    listing = Listing()
    for path in picture_files(source):
        folders = path.relative_to(source).parent.parts
        label = folder_label(folders, path.stem)
        if isinstance(label, str):
            listing.removed.append(Removal(name, origin(path, source), label, "/".join(folders)))
            continue
        splits = [split for folder in folders if (split := published_split(folder))]
        # In class folders of FER-2013, the name of a file is its row in the csv.
        row = int(path.stem) if "fer" in name.lower() and path.stem.isdecimal() else None
        listing.records.append(
            Record(
                source=name,
                origin=origin(path, source),
                picture=path,
                emotion=label.emotion,
                person=label.person,
                split=splits[0] if splits else None,
                row=row,
            )
        )
    return listing
