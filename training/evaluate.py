"""What the shipped models are worth on labelled pictures: the worker's own code run over them, and figures."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table

from training.datasets import Dataset, DatasetError, Picture
from training.metrics import Figures, measure
from worker.contract.messages import EMOTIONS
from worker.emotions import Ensemble, Readings
from worker.preprocessing import Image, face_crop

# Pictures held in memory at once; some sets come in megapixels.
BLOCK = 64

Crop = Callable[[Image], Image | None]
"""Cuts the face out of a picture; None where it finds none."""


@dataclass(frozen=True)
class Evaluation:
    """Figures on one dataset: of `n` pictures that were read, with `skipped` others left out (reason -> count)."""

    dataset: str
    n: int
    skipped: Counter[str]
    models: dict[str, Figures]
    ensemble: Figures

    def to_json(self) -> dict[str, Any]:
        """The evaluation as JSON has it, keys in the order of the fields."""
        return {
            "dataset": self.dataset,
            "n": self.n,
            "skipped": self.skipped.total(),
            "skipped_reasons": dict(self.skipped),
            "models": {name: asdict(figures) for name, figures in self.models.items()},
            "ensemble": asdict(self.ensemble),
        }

    def to_table(self) -> Table:
        """The evaluation for a terminal, without the confusion matrices."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.skipped.most_common())
        table = Table(title=f"{self.dataset}: {self.n} pictures" + (f" (left out: {reasons})" if reasons else ""))
        table.add_column("model")
        for heading in ("accuracy", "macro recall", "ECE", "NLL", *EMOTIONS):
            table.add_column(heading, justify="right")
        for name, figures in [*self.models.items(), ("ensemble", self.ensemble)]:
            recalls = ["-" if recall is None else f"{recall:.2f}" for recall in figures.recall.values()]
            means = [f"{value:.4f}" for value in (figures.accuracy, figures.macro_recall, figures.ece, figures.nll)]
            table.add_row(name, *means, *recalls)
        return table


def evaluate(ensemble: Ensemble, dataset: Dataset, crop: Crop | None = None) -> Evaluation:
    """Read every picture of `dataset`, cut out by `crop` or whole, and compare with its label.

    Raises DatasetError where no picture can be read.
    """
    readings, labels = read_pictures(ensemble, dataset, crop)
    return Evaluation(
        dataset=dataset.name,
        n=len(labels),
        skipped=dataset.skipped,
        models={name: measure(probabilities, labels) for name, probabilities in readings.by_model.items()},
        ensemble=measure(readings.scores, labels),
    )


def read_pictures(
    ensemble: Ensemble, dataset: Dataset, crop: Crop | None = None
) -> tuple[Readings, npt.NDArray[np.int64]]:
    """What the ensemble makes of every readable picture, and their labels, [n]; the others are counted as skipped."""
    labels: list[int] = []
    blocks = []
    for block in _blocks(_crops(dataset, crop)):
        blocks.append(ensemble.read([image for image, _ in block]))
        labels.extend(label for _, label in block)
    if not blocks:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dataset.skipped.items())
        raise DatasetError(f"{dataset.name}: none of its pictures can be used ({reasons})")
    return _joined(blocks), np.asarray(labels, np.int64)


def biggest_face(find: Callable[[Image], Iterable[Any]]) -> Crop:
    """A Crop that cuts out the biggest of the faces that `find` (`FaceFinder.find_in_picture`) finds."""

    def crop(image: Image) -> Image | None:
        faces = sorted(find(image), key=lambda face: face.box[2] * face.box[3])
        return face_crop(image, faces[-1].box) if faces else None

    return crop


def _crops(dataset: Dataset, crop: Crop | None) -> Iterator[tuple[Image, int]]:
    for picture in dataset.pictures:
        image = _cut(picture, crop)
        if isinstance(image, str):
            dataset.skipped[image] += 1
        else:
            yield image, picture.label


def _cut(picture: Picture, crop: Crop | None) -> Image | str:
    """The face, or the reason why there is none."""
    image = picture.pixels()
    if image is None:
        return "unreadable"
    if crop is None:
        return image
    face = crop(image)
    return "no face" if face is None else face


def _blocks(crops: Iterator[tuple[Image, int]]) -> Iterator[list[tuple[Image, int]]]:
    while block := list(islice(crops, BLOCK)):
        yield block


def _joined(blocks: Sequence[Readings]) -> Readings:
    return Readings(
        np.concatenate([block.scores for block in blocks]),
        {name: np.concatenate([block.by_model[name] for block in blocks]) for name in blocks[0].by_model},
    )
