"""Pictures in folders that are named after classes; FER-2013, RAF-DB and CK+48 are often passed on like this.

A folder above them that is named train, validation, public_test or the like is the published split.
"""

from collections.abc import Iterator
from pathlib import Path

from training.datasets.folder import picture_files
from training.datasets.labels import folder_label
from training.preparing.record import Record, Removal, named_folder, origin, path_text, published_split


def recognises(source: Path) -> bool:
    """A folder with any picture."""
    return source.is_dir() and next(picture_files(source), None) is not None


def read(source: Path) -> Iterator[Record | Removal]:
    """The pictures, which count as crops."""
    name = path_text(named_folder(source).name)
    for path in picture_files(source):
        where, folders = origin(path, source), path.relative_to(source).parent.parts
        label = folder_label(folders, path.stem)
        if isinstance(label, str):
            yield Removal(name, where, label, "/".join(folders))
            continue
        split = next((split for folder in folders if (split := published_split(folder))), None)
        # In class folders of FER-2013, the name of a file is its row in the csv.
        row = int(path.stem) if "fer" in name.lower() and path.stem.isdecimal() else None
        yield Record(name, where, path, label.emotion, label.person, split, row=row)
