"""A set of labelled pictures, and who is shown on them."""

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from worker.perception.preprocessing import Image


class DatasetError(Exception):
    """A dataset that cannot be used or made; the message names the folder and says what to do."""


@dataclass(frozen=True)
class Picture:
    """One labelled picture: `label` indexes `EMOTIONS`.

    `person` is `SET:PERSON` where the person is known, `source` names the set that a prepared picture came from,
    `votes` are the shares of people who voted for each emotion (seven, summing to one) where somebody did, `weight`
    is how much the picture counts in training, and `origin` is the file that a prepared picture was made of.
    """

    path: Path
    label: int
    person: str | None = None
    source: str | None = None
    votes: tuple[float, ...] | None = None
    weight: float = 1.0
    origin: str | None = None

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


def by_source(dataset: Dataset) -> list[Dataset]:
    """A split of a prepared set as the sets that it was made of; any other dataset as it is."""
    names = sorted({picture.source for picture in dataset.pictures if picture.source is not None})
    if not names:
        return [dataset]
    return [
        Dataset(f"{dataset.name}/{name}", [picture for picture in dataset.pictures if picture.source == name])
        for name in names
    ]


def refuse_shared_persons(train: Sequence[Dataset], validation: Sequence[Dataset]) -> None:
    """DatasetError where somebody who is known by name stands in both."""
    refuse_common(_persons(train), _persons(validation), ", ".join(dataset.name for dataset in validation))


def refuse_common(train: Set[str], validation: Set[str], name: str) -> None:
    """DatasetError where two sets of persons have anybody in common; `name` is that of the validation data."""
    shared = sorted(train & validation)
    if shared:
        shown = ", ".join(shared[:5]) + (", ..." if len(shared) > 5 else "")
        raise DatasetError(
            f"{name}: {len(shared)} of its persons are in the training data too ({shown}); "
            "split by person, or the figures on it will be too good"
        )


def _persons(datasets: Sequence[Dataset]) -> set[str]:
    return {picture.person for dataset in datasets for picture in dataset.pictures if picture.person is not None}
