"""A set of labelled pictures, and the persons on them."""

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from worker.perception.preprocessing import Image

# OpenCV decodes a JPEG that is cut off and makes the rest grey. Some cameras write a few bytes behind the end.
_JPEG_START, _JPEG_END, _JPEG_TAIL = b"\xff\xd8", b"\xff\xd9", 4096


class DatasetError(Exception):
    """A dataset that cannot be used or made; the message names the folder and says what to do."""


@dataclass(frozen=True)
class LabelledPicture:
    """One labelled picture: `label` is an index into EMOTIONS.

    `person` is `SET:PERSON`, or None if unknown. `votes` are the shares of annotators that voted for each emotion
    (seven, summing to one), or None without votes. `weight` is the picture's weight in training. A prepared picture has
    a `source`, the name of its set, and an `origin`, the file it was made of.
    """

    path: Path
    label: int
    person: str | None = None
    source: str | None = None
    votes: tuple[float, ...] | None = None
    weight: float = 1.0
    origin: str | None = None

    def pixels(self) -> Image | None:
        """[height, width, 3] BGR, or None (see `decoded`)."""
        return decoded(self.path)


@dataclass
class Dataset:
    """The usable pictures of the folder `name`; `skipped` counts the pictures left out, by reason."""

    name: str
    pictures: list[LabelledPicture]
    skipped: Counter[str] = field(default_factory=Counter)


def decoded(path: Path) -> Image | None:
    """A picture as [height, width, 3] BGR, or None if its file is missing, cut off or not a picture."""
    try:
        # Not imread, which takes names as UTF-8: in another locale it finds no file, or crashes.
        content = path.read_bytes()
    except OSError:
        return None
    if not content or (content.startswith(_JPEG_START) and _JPEG_END not in content[-_JPEG_TAIL:]):
        return None
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else np.asarray(image, np.uint8)


def left_out(skipped: Counter[str]) -> str:
    """How many pictures were left out for which reason, in brackets; empty if none was."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in skipped.most_common())
    return f" (left out: {reasons})" if reasons else ""


def by_source(dataset: Dataset) -> list[Dataset]:
    """A split of a prepared set, divided into the sets it was made of; any other dataset as it is."""
    names = sorted({picture.source for picture in dataset.pictures if picture.source is not None})
    if not names:
        return [dataset]
    return [
        Dataset(f"{dataset.name}/{name}", [picture for picture in dataset.pictures if picture.source == name])
        for name in names
    ]


def refuse_shared_persons(train: Sequence[Dataset], validation: Sequence[Dataset]) -> None:
    """DatasetError if a known person is in both."""
    refuse_shared(_persons(train), _persons(validation), ", ".join(dataset.name for dataset in validation))


def refuse_shared(train: Set[str], validation: Set[str], name: str) -> None:
    """DatasetError if the two sets of persons have one in common; `name` is that of the validation data."""
    shared = sorted(train & validation)
    if shared:
        shown = ", ".join(shared[:5]) + (", ..." if len(shared) > 5 else "")
        raise DatasetError(
            f"{name}: {len(shared)} of its persons are in the training data too ({shown}); "
            "split by person, or its metrics will be too good"
        )


def _persons(datasets: Sequence[Dataset]) -> set[str]:
    return {picture.person for dataset in datasets for picture in dataset.pictures if picture.person is not None}
