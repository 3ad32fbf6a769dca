"""What the shipped models are worth on labelled pictures: the worker's own code run over them, and figures."""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from rich.table import Table

from training.datasets import Dataset, DatasetError, Picture, pixel_digest
from training.measuring.metrics import Figures, Labels, measure
from worker.contract.messages import EMOTIONS
from worker.perception.emotions import Ensemble, Predictions, Probabilities, first_alone
from worker.perception.manifest import Adaptive
from worker.perception.preprocessing import CROP_RISE, CROP_SCALE, Box, Image, face_crop

# Pictures held in memory at once; some sets come in megapixels.
BLOCK = 64

FindFace = Callable[[Image], Box | None]
"""Where the face of a picture is; None where it has none."""


@dataclass(frozen=True)
class Framing:
    """How a crop may differ from the one that is served.

    Its side is `scale` times as long, and its middle lies further `right` and `down` by these shares of that side.
    Where it leaves the picture the edge is repeated.
    """

    name: str
    scale: float = 1.0
    right: float = 0.0
    down: float = 0.0


AS_SERVED = Framing("as served")

FRAMINGS = (
    Framing("20 % wider", scale=1.2),
    Framing("20 % narrower", scale=0.8),
    Framing("10 % left", right=-0.1),
    Framing("10 % right", right=0.1),
    Framing("10 % up", down=-0.1),
    Framing("10 % down", down=0.1),
)


@dataclass(frozen=True)
class Evaluation:
    """Figures on one dataset: of `n` pictures that were read, with `skipped` others left out (reason -> count).

    `adaptive` are the figures of the adaptive ensemble and `escalated` the share of pictures that it asked all models
    about; None where the manifest has no threshold. `framing` tells by how much accuracy differs where the crop does:
    framing -> model or "ensemble" -> difference; None where that was not asked for.
    """

    dataset: str
    n: int
    skipped: Counter[str]
    models: dict[str, Figures]
    ensemble: Figures
    adaptive: Figures | None = None
    escalated: float | None = None
    framing: dict[str, dict[str, float]] | None = None

    def to_json(self) -> dict[str, Any]:
        """The evaluation as JSON has it, keys in the order of the fields."""
        return {
            "dataset": self.dataset,
            "n": self.n,
            "skipped": self.skipped.total(),
            "skipped_reasons": dict(self.skipped),
            "models": {name: asdict(figures) for name, figures in self.models.items()},
            "ensemble": asdict(self.ensemble),
            **({"adaptive": {"escalated": self.escalated, **asdict(self.adaptive)}} if self.adaptive else {}),
            **({"framing": self.framing} if self.framing is not None else {}),
        }

    def to_table(self) -> Table:
        """The evaluation for a terminal, without the confusion matrices."""
        rows = {**self.models, "ensemble": self.ensemble}
        if self.adaptive is not None:
            rows[f"adaptive ({self.escalated:.0%} escalated)"] = self.adaptive
        table = Table(title=f"{self.dataset}: {self.n} pictures" + left_out(self.skipped))
        table.add_column("model")
        for heading in ("accuracy", "macro recall", "ECE", "NLL", *EMOTIONS):
            table.add_column(heading, justify="right")
        for name, figures in rows.items():
            recalls = ["-" if recall is None else f"{recall:.2f}" for recall in figures.recall.values()]
            table.add_row(name, *means(figures), *recalls)
        return table

    def to_framing_table(self) -> Table | None:
        """What another framing costs, for a terminal, in points of accuracy; None where that was not asked for."""
        if self.framing is None:
            return None
        table = Table(title=f"{self.dataset}: points of accuracy gained or lost where the crop is")
        table.add_column("model")
        for framing in self.framing:
            table.add_column(framing, justify="right")
        for name in (*self.models, "ensemble"):
            table.add_row(name, *(f"{100 * differences[name]:+.1f}" for differences in self.framing.values()))
        return table


def evaluate(
    ensemble: Ensemble,
    dataset: Dataset,
    find: FindFace | None = None,
    without: Container[bytes] = (),
    framings: Sequence[Framing] = (),
) -> Evaluation:
    """Read every picture of `dataset`, cut out by `find` or whole, and compare with its label.

    A picture whose `pixel_digest` is in `without` is left out. Each of `framings` is measured against the framing as
    it is served. Raises DatasetError where no picture can be read.
    """
    (readings, *others), labels = read_framings(ensemble, dataset, [AS_SERVED, *framings], find, without)
    adaptive = ensemble.manifest.adaptive
    scores, escalated = None, None
    if adaptive is not None:
        scores, escalated = adaptively(readings.by_model, readings.scores, adaptive)
    as_served = accuracies(readings, labels)
    return Evaluation(
        dataset=dataset.name,
        n=len(labels),
        skipped=dataset.skipped,
        models={name: measure(probabilities, labels) for name, probabilities in readings.by_model.items()},
        ensemble=measure(readings.scores, labels),
        adaptive=None if scores is None else measure(scores, labels),
        escalated=None if escalated is None else float(escalated.mean()),
        framing={
            framing.name: {name: accuracy - as_served[name] for name, accuracy in accuracies(other, labels).items()}
            for framing, other in zip(framings, others, strict=True)
        }
        if framings
        else None,
    )


def read_pictures(ensemble: Ensemble, dataset: Dataset, find: FindFace | None = None) -> tuple[Predictions, Labels]:
    """What the ensemble makes of every readable picture, and their labels, [n]; the others are counted as skipped.

    Raises DatasetError where no picture can be read.
    """
    (readings,), labels = read_framings(ensemble, dataset, [AS_SERVED], find)
    return readings, labels


def read_framings(
    ensemble: Ensemble,
    dataset: Dataset,
    framings: Sequence[Framing],
    find: FindFace | None = None,
    without: Container[bytes] = (),
) -> tuple[list[Predictions], Labels]:
    """As `read_pictures`, for every framing: each picture is decoded, and its face looked for, once."""
    labels: list[int] = []
    blocks: list[list[Predictions]] = []
    for block in _blocks(labelled_crops(dataset, framings, find, without)):
        blocks.append([ensemble.predict(crops) for crops in zip(*(crops for crops, _ in block), strict=True)])
        labels.extend(label for _, label in block)
    if not blocks:
        raise DatasetError(f"{dataset.name}: none of its pictures can be used" + left_out(dataset.skipped))
    return [_joined(readings) for readings in zip(*blocks, strict=True)], np.asarray(labels, np.int64)


def adaptively(
    by_model: Mapping[str, Probabilities], full: Probabilities, adaptive: Adaptive
) -> tuple[Probabilities, npt.NDArray[np.bool_]]:
    """What the adaptive ensemble says, [n, 7], and for which pictures, [n], it asks all models.

    `by_model` is what each model says, and `full` the full ensemble.
    """
    scores, sure = first_alone(by_model[adaptive.first], adaptive)
    return np.where(sure[:, np.newaxis], scores, full), ~sure


def face_finder() -> FindFace:
    """The worker's own way to a picture's face, the biggest where it has several."""
    from worker.perception.faces import FaceDetector

    return biggest_face(FaceDetector().detect_in_picture)


def pixel_digests(datasets: Sequence[Dataset]) -> frozenset[bytes]:
    """What tells the pictures of `datasets` from all others by their pixels."""
    images = (picture.pixels() for dataset in datasets for picture in dataset.pictures)
    return frozenset(pixel_digest(image) for image in images if image is not None)


def biggest_face(find: Callable[[Image], Iterable[Any]]) -> FindFace:
    """The box of the biggest of the faces that `find` (`FaceDetector.detect_in_picture`) finds."""

    def biggest(image: Image) -> Box | None:
        boxes: list[Box] = [face.box for face in find(image)]
        return max(boxes, key=lambda box: box[2] * box[3], default=None)

    return biggest


def labelled_crops(
    dataset: Dataset,
    framings: Sequence[Framing] = (AS_SERVED,),
    find: FindFace | None = None,
    without: Container[bytes] = (),
) -> Iterator[tuple[list[Image], int]]:
    """Every usable picture's crops, one a framing, and its label; the others are counted as skipped."""
    for picture in dataset.pictures:
        crops = _crops(picture, framings, find, without)
        if isinstance(crops, str):
            dataset.skipped[crops] += 1
        else:
            yield crops, picture.label


def accuracies(readings: Predictions, labels: Labels) -> dict[str, float]:
    """The share of pictures that each model and the ensemble read rightly."""
    said = {**readings.by_model, "ensemble": readings.scores}
    return {name: float((scores.argmax(axis=1) == labels).mean()) for name, scores in said.items()}


def means(figures: Figures) -> list[str]:
    """The figures that are one number, for a table: accuracy, macro recall, ECE, NLL."""
    return [f"{value:.4f}" for value in (figures.accuracy, figures.macro_recall, figures.ece, figures.nll)]


def left_out(skipped: Counter[str]) -> str:
    """In brackets how many pictures were left out for which reason, or nothing."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in skipped.most_common())
    return f" (left out: {reasons})" if reasons else ""


def _crops(
    picture: Picture, framings: Sequence[Framing], find: FindFace | None, without: Container[bytes]
) -> list[Image] | str:
    """The face, once a framing, or the reason why there is none."""
    image = picture.pixels()
    if image is None:
        return "unreadable"
    if pixel_digest(image) in without:
        return "also in --without"
    if find is None:
        return [_reframed(image, framing) for framing in framings]
    box = find(image)
    if box is None:
        return "no face"
    return [face_crop(image, _moved(box, framing)) for framing in framings]


def _reframed(face: Image, framing: Framing) -> Image:
    """A picture that is a face already, framed otherwise."""
    if framing == AS_SERVED:
        return face
    height, width = face.shape[:2]
    down, across = round(height * framing.scale), round(width * framing.scale)
    margin = max(height, width) // 2  # more than any framing reaches out
    wide = cv2.copyMakeBorder(face, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    top = margin + round((height - down) / 2 + framing.down * height)
    left = margin + round((width - across) / 2 + framing.right * width)
    return np.asarray(wide[top : top + down, left : left + across], np.uint8)


def _moved(box: Box, framing: Framing) -> Box:
    """The box of which `face_crop` makes the crop of `box` with another framing."""
    x, y, w, h = box
    side = max(w, h) * CROP_SCALE
    middle_x = x + w / 2 + framing.right * side
    middle_y = y + h / 2 - h * CROP_RISE + framing.down * side
    w, h = w * framing.scale, h * framing.scale
    return middle_x - w / 2, middle_y + h * CROP_RISE - h / 2, w, h


def _blocks(crops: Iterator[tuple[list[Image], int]]) -> Iterator[list[tuple[list[Image], int]]]:
    while block := list(islice(crops, BLOCK)):
        yield block


def _joined(blocks: Sequence[Predictions]) -> Predictions:
    return Predictions(
        np.concatenate([block.scores for block in blocks]),
        {name: np.concatenate([block.by_model[name] for block in blocks]) for name in blocks[0].by_model},
        np.concatenate([block.escalated for block in blocks]),
    )
