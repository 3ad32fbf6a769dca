"""An audit: how right and how well calibrated the ensemble is for groups of pictures, with bootstrap intervals.

Groups are what the pictures themselves say: the size and the brightness of the crop, and, in KDEF's file names, the sex
of the person and the angle of the camera. An interval has 95 % of the values over resampled persons, or over resampled
pictures where persons are not known (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import compress, islice
from pathlib import Path

import cv2
import numpy as np

from training.datasets import Dataset, DatasetError, LabelledPicture, left_out
from training.datasets.labels import kdef_view
from training.measuring.crops import DetectFace, pictures_with_crops
from training.measuring.metrics import Labels, expected_calibration_error
from training.measuring.predictions import BLOCK
from worker.contract.messages import EMOTIONS
from worker.perception.emotions import Ensemble, Probabilities
from worker.perception.manifest import EnsembleMode
from worker.perception.preprocessing import Image

RESAMPLES = 1000
CHANCE_DRAWS = 100
SEED = 1

SIZES = (48, 64, 96, 128, 192)
"""Limits between the groups by size: the shorter side of the crop in pixels."""

BRIGHTNESSES = (64, 96, 128, 160, 192)
"""Limits between the groups by brightness: the mean grey value of the crop, from 0 to 255."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Group:
    """`n` pictures of `persons` known persons for which `kind` is `value`, and the metrics of the ensemble on them.

    `ece_by_chance` is the mean expected calibration error that the same scores would have on as many pictures if they
    were perfectly calibrated. An error near it does not mean bad calibration.
    """

    kind: str
    value: str
    n: int
    persons: int | None
    accuracy: float
    accuracy_interval: Interval
    ece: float
    ece_interval: Interval
    ece_by_chance: float


@dataclass(frozen=True)
class Audit:
    """The groups of one dataset; the first has all pictures. `skipped` counts pictures left out, by reason."""

    dataset: str
    mode: EnsembleMode
    groups: list[Group]
    skipped: dict[str, int] = field(default_factory=dict)


def audit(ensemble: Ensemble, mode: EnsembleMode, dataset: Dataset, detect: DetectFace | None = None) -> Audit:
    """Audit the ensemble, which was loaded in `mode`, on `dataset`. Raises DatasetError if no picture is usable."""
    scores, pictures, traits = [], [], []
    found = pictures_with_crops(dataset, detect=detect)
    while block := list(islice(found, BLOCK)):
        scores.append(ensemble.predict([crop for _, (crop,) in block]).scores)
        pictures += [picture for picture, _ in block]
        traits += [_traits(picture, crop) for picture, (crop,) in block]
    if not pictures:
        raise DatasetError(f"{dataset.name}: none of its pictures can be used{left_out(dataset.skipped)}")
    labels = np.asarray([picture.label for picture in pictures], np.int64)
    persons = [picture.person for picture in pictures]
    groups = list(audited_groups(np.concatenate(scores), labels, persons, traits))
    return Audit(dataset.name, mode, groups, dict(dataset.skipped))


def audited_groups(
    scores: Probabilities, labels: Labels, persons: list[str | None], traits: list[dict[str, str]]
) -> Iterator[Group]:
    """The group of all n pictures, then one for each value of each trait. `traits` has one value of each kind."""
    yield _group("all", "", scores, labels, persons)
    for kind in dict.fromkeys(kind for of_picture in traits for kind in of_picture):
        of_picture = np.asarray([one.get(kind, "") for one in traits])
        for value in sorted(set(of_picture) - {""}, key=_order):
            chosen = of_picture == value
            yield _group(kind, str(value), scores[chosen], labels[chosen], list(compress(persons, chosen)))


def _group(kind: str, value: str, scores: Probabilities, labels: Labels, persons: list[str | None]) -> Group:
    names = [person for person in persons if person is not None]
    known = len(names) == len(persons)
    units = np.unique(names, return_inverse=True)[1] if known else np.arange(len(persons))
    generator = np.random.default_rng(SEED)
    members = [np.flatnonzero(units == unit) for unit in range(units.max() + 1)]
    right = scores.argmax(axis=1) == labels
    resampled = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([members[unit] for unit in generator.integers(len(members), size=len(members))])
        resampled.append((right[drawn].mean(), expected_calibration_error(scores[drawn], labels[drawn])))
    low, high = np.quantile(resampled, (0.025, 0.975), axis=0)
    return Group(
        kind,
        value,
        n=len(labels),
        persons=len(members) if known else None,
        accuracy=float(right.mean()),
        accuracy_interval=(float(low[0]), float(high[0])),
        ece=expected_calibration_error(scores, labels),
        ece_interval=(float(low[1]), float(high[1])),
        ece_by_chance=_ece_by_chance(scores, generator),
    )


def _ece_by_chance(scores: Probabilities, generator: np.random.Generator) -> float:
    """The mean ECE if labels were drawn from the scores themselves."""
    limits = scores.cumsum(axis=1)
    errors = []
    for _ in range(CHANCE_DRAWS):
        drawn = (generator.random((len(scores), 1)) > limits).sum(axis=1)
        errors.append(expected_calibration_error(scores, np.minimum(drawn, len(EMOTIONS) - 1)))
    return float(np.mean(errors))


def _traits(picture: LabelledPicture, crop: Image) -> dict[str, str]:
    """The groups of a picture by kind. The file that it was made of has its name in KDEF."""
    brightness = float(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY).mean())
    return {
        **kdef_view(Path(picture.origin or picture.path).stem),
        "size": _between(min(crop.shape[:2]), SIZES),
        "brightness": _between(brightness, BRIGHTNESSES),
    }


def _between(value: float, limits: tuple[int, ...]) -> str:
    """The name of the range that `value` lies in."""
    above = sum(value >= limit for limit in limits)
    if above == 0:
        return f"below {limits[0]}"
    return f"from {limits[-1]}" if above == len(limits) else f"{limits[above - 1]} to {limits[above] - 1}"


def _order(value: str) -> tuple[int, str]:
    """Ranges by their numbers, other values by name."""
    numbers = [int(word) for word in value.split() if word.isdigit()]
    return (-1 if value.startswith("below") else numbers[0] if numbers else 0, value)
