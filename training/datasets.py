"""Reading labelled face pictures from disk: folders named after classes, or KDEF's own file names.

A picture that cannot be read, or whose label is none of the seven, is left out and counted, never silently lost.
"""

import hashlib
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from worker.contract.messages import EMOTIONS
from worker.preprocessing import CHANNELS, Colour, Image, network_pixels

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})

# What public sets call their classes. Contempt has no place among the seven (FER+ and CK+ have it).
ALIASES = {
    "anger": ("anger", "angry", "an"),
    "disgust": ("disgust", "disgusted", "di"),
    "fear": ("fear", "fearful", "afraid", "af"),
    "happiness": ("happiness", "happy", "ha"),
    "sadness": ("sadness", "sad", "sa"),
    "surprise": ("surprise", "surprised", "su"),
    "neutral": ("neutral", "neutrality", "ne"),
}
EMOTION_OF = {alias: emotion for emotion, aliases in ALIASES.items() for alias in aliases}

# KDEF (Lundqvist, Flykt and Öhman, 1998): session A or B, sex, two digits of the person, emotion, angle.
_KDEF_STEM_LENGTHS = (7, 8)  # angle S, HL, HR, FL or FR
_KDEF_EMOTIONS = {code: EMOTION_OF[code.lower()] for code in ("AF", "AN", "DI", "HA", "NE", "SA", "SU")}


class DatasetError(Exception):
    """A dataset that cannot be used; the message names the folder and says what to do."""


@dataclass(frozen=True)
class Picture:
    """One labelled picture: `label` indexes `EMOTIONS`, `person` is known for KDEF only."""

    path: Path
    label: int
    person: str | None = None

    def pixels(self) -> Image | None:
        """The picture as [height, width, 3] BGR, or None where the file does not decode."""
        image = cv2.imread(str(self.path), cv2.IMREAD_COLOR)
        return None if image is None else np.asarray(image, np.uint8)


@dataclass
class Dataset:
    """The usable pictures of one folder, named as it was asked for, and what was left out: reason -> count."""

    name: str
    pictures: list[Picture]
    skipped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Faces:
    """Pictures as arrays: pixels [n, size, size, channels] uint8, labels [n] int64.

    `digests[i]` is the same for two pictures whose files decode to the same pixels, and for no others.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    digests: list[bytes]


def read_dataset(folder: Path) -> Dataset:
    """List the pictures under `folder`, by KDEF names where the files have them, else by class folders.

    Raises DatasetError where the folder is missing or holds no picture of the seven emotions.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; name one that holds a folder for every emotion")
    dataset = Dataset(str(folder), [])
    for path in _picture_files(folder):
        picture = _kdef_picture(path) or _class_folder_picture(path, folder)
        if isinstance(picture, Picture):
            dataset.pictures.append(picture)
        else:
            dataset.skipped[picture] += 1
    if not dataset.pictures:
        classes = ", ".join(EMOTIONS)
        raise DatasetError(f"{folder}: no labelled picture found; expected folders named {classes}, or KDEF file names")
    return dataset


def load_faces(datasets: Sequence[Dataset], size: int, colour: Colour, without: Container[bytes] = ()) -> Faces:
    """Decode and scale every picture the way serving does.

    A picture that does not decode, or whose digest is in `without`, is counted in its dataset's `skipped`.
    Raises DatasetError where nothing is left.
    """
    pixels, labels, digests = [], [], []
    for dataset in datasets:
        for picture in dataset.pictures:
            image = picture.pixels()
            if image is None:
                dataset.skipped["unreadable"] += 1
                continue
            digest = _pixel_digest(image)
            if digest in without:
                dataset.skipped["also in validation"] += 1
                continue
            pixels.append(network_pixels(image, size, colour))
            labels.append(picture.label)
            digests.append(digest)
    if not pixels:
        raise DatasetError(f"{_names(datasets)}: none of its pictures can be used ({_reasons(datasets)})")
    shape = (len(pixels), size, size, CHANNELS[colour])
    return Faces(np.concatenate(pixels).reshape(shape), np.asarray(labels, np.int64), digests)


def refuse_shared_persons(train: Sequence[Dataset], validation: Sequence[Dataset]) -> None:
    """DatasetError where somebody stands in both; persons are known by KDEF's file names only."""
    shared = sorted(_persons(train) & _persons(validation))
    if shared:
        shown = ", ".join(shared[:5]) + (", ..." if len(shared) > 5 else "")
        raise DatasetError(
            f"{_names(validation)}: {len(shared)} of its persons are in the training data too ({shown}); "
            "split by person, or the figures on it will be too good"
        )


def _persons(datasets: Sequence[Dataset]) -> set[str]:
    return {picture.person for dataset in datasets for picture in dataset.pictures if picture.person is not None}


def _names(datasets: Sequence[Dataset]) -> str:
    return ", ".join(dataset.name for dataset in datasets)


def _reasons(datasets: Sequence[Dataset]) -> str:
    total = sum((dataset.skipped for dataset in datasets), Counter[str]())
    return ", ".join(f"{count} {reason}" for reason, count in total.most_common())


def _pixel_digest(image: Image) -> bytes:
    return hashlib.blake2b(repr(image.shape).encode() + image.tobytes(), digest_size=16).digest()


def _picture_files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())


def _kdef_picture(path: Path) -> Picture | None:
    stem = path.stem.upper()
    if len(stem) not in _KDEF_STEM_LENGTHS or stem[0] not in "AB" or stem[1] not in "FM" or not stem[2:4].isdigit():
        return None
    emotion = _KDEF_EMOTIONS.get(stem[4:6])
    return Picture(path, EMOTIONS.index(emotion), person=stem[1:4]) if emotion else None


def _class_folder_picture(path: Path, folder: Path) -> Picture | str:
    """The picture labelled by its nearest class-named folder, or the reason why it is left out."""
    for parent in path.relative_to(folder).parent.parts[::-1]:
        if emotion := EMOTION_OF.get(parent.lower()):
            return Picture(path, EMOTIONS.index(emotion))
        if parent.lower() in ("contempt", "contemptuous"):
            return "contempt"
    return "no emotion in its path"
