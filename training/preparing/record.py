"""One labelled picture as its layout lists it, before it is examined, and the reason why a picture is left out."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np

from training.datasets.dataset import decoded
from worker.perception.preprocessing import Box, Image

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

# The names of splits in public sets.
_SPLIT_OF_FOLDER: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "public_test", "publictest"), "validation"),
    **dict.fromkeys(("test", "private_test", "privatetest"), "test"),
}


@dataclass(frozen=True)
class Record:
    """One labelled picture of a source.

    `picture` is its file, or its grey pixels [height, width] from a csv. `split` is the published one, or None. `whole`
    says that the picture is not a crop, and `face` is the published box of the labelled face, or None. `row` is the row
    of a FER-2013 picture in its csv, which FER+ votes refer to. `votes` are counts.
    """

    source: str
    origin: str
    picture: Path | Image
    emotion: str
    person: str | None = None
    split: Split | None = None
    whole: bool = False
    face: Box | None = None
    row: int | None = None
    votes: tuple[float, ...] | None = None

    @property
    def family(self) -> str:
        """The group that is split together: the set of the person, or else the source."""
        return self.source if self.person is None else self.person.partition(":")[0]

    def removed(self, reason: str, detail: str = "") -> "Removal":
        """The removal of this picture."""
        return Removal(self.source, self.origin, reason, detail)

    def pixels(self) -> Image | None:
        """[height, width, 3] BGR, or None if the file is missing, cut off or not a picture."""
        if isinstance(self.picture, Path):
            return decoded(self.picture)
        return np.asarray(cv2.cvtColor(self.picture, cv2.COLOR_GRAY2BGR), np.uint8)


@dataclass(frozen=True, order=True)
class Removal:
    """A picture that is left out, and why; `detail` names the picture it equals, or what was wrong."""

    source: str
    origin: str
    reason: str
    detail: str = ""


def named_folder(root: Path) -> Path:
    """The folder with the name of a set: `fer2013` of `fer2013/train`."""
    root = root.resolve()
    return named_folder(root.parent) if published_split(root.name) and root.parent != root else root


def origin(path: Path, root: Path) -> str:
    """The path of a picture under `root`, relative to the parent of the `named_folder`; it names no home folder."""
    named = (root.resolve() / path.relative_to(root)).relative_to(named_folder(root).parent)
    return path_text(named)


def path_text(path: str | Path) -> str:
    """The path as text, the same in every locale. A byte that is not UTF-8 is replaced."""
    return os.fsencode(path).decode(errors="replace")


def published_split(folder: str) -> Split | None:
    """The split that a folder is named after, or None."""
    return _SPLIT_OF_FOLDER.get(folder.lower())
