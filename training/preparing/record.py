"""What a layout says about one picture before anybody has looked at it, and why a picture was left out."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np

from worker.perception.preprocessing import Box, Image

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

# What the folders of public sets call their parts.
_SPLIT_OF_FOLDER: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "public_test", "publictest"), "validation"),
    **dict.fromkeys(("test", "private_test", "privatetest"), "test"),
}

# OpenCV decodes a JPEG that was cut off, and makes the rest grey. Behind the end some cameras put a little more.
_JPEG_START, _JPEG_END, _JPEG_TAIL = b"\xff\xd8", b"\xff\xd9", 4096


@dataclass(frozen=True)
class Record:
    """One labelled picture of a source.

    `picture` is its file, or its pixels [height, width] grey where a csv holds them. `split` is the published one, if
    there is one. `whole` says that the picture is more than a face, `face` where in it the labelled one is, if that was
    published. `row` is the number of a FER-2013 picture in its csv, by which FER+ votes name it. `votes` are counts.
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
        """Pictures that are split together: by the set whose people they show, else by source."""
        return self.source if self.person is None else self.person.partition(":")[0]

    def pixels(self) -> Image | None:
        """[height, width, 3] BGR, or None where the file is missing, cut off or no picture."""
        if isinstance(self.picture, Path):
            return _decoded(self.picture)
        return np.asarray(cv2.cvtColor(self.picture, cv2.COLOR_GRAY2BGR), np.uint8)


@dataclass(frozen=True, order=True)
class Removal:
    """A picture that is not in the set, and why; `detail` names what it equals, or what was wrong."""

    source: str
    origin: str
    reason: str
    detail: str = ""


@dataclass
class Listing:
    """What a layout holds: pictures to look at, and those whose label alone rules them out."""

    records: list[Record] = field(default_factory=list)
    removed: list[Removal] = field(default_factory=list)


def named_folder(root: Path) -> Path:
    """The folder that names a set: `fer2013` of `fer2013/train`."""
    root = root.resolve()
    return named_folder(root.parent) if published_split(root.name) and root.parent != root else root


def origin(path: Path, root: Path) -> str:
    """Where a picture under `root` came from, without saying whose machine it was on: from the folder that names it."""
    return (root.resolve() / path.relative_to(root)).relative_to(named_folder(root).parent).as_posix()


def published_split(folder: str) -> Split | None:
    """The split that a folder's name says, if it says one."""
    return _SPLIT_OF_FOLDER.get(folder.lower())


def _decoded(path: Path) -> Image | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if not content or (content.startswith(_JPEG_START) and _JPEG_END not in content[-_JPEG_TAIL:]):
        return None
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else np.asarray(image, np.uint8)
