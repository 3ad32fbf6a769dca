"""The predictions of an ensemble for every picture of a dataset, and the time that they take."""

from collections.abc import Container, Sequence
from itertools import islice
from time import process_time
from timeit import repeat

import numpy as np

from training.datasets import Dataset, DatasetError, left_out
from training.measuring.crops import DetectFace, pictures_with_crops
from training.measuring.framing import AS_SERVED, Framing
from training.measuring.metrics import Labels
from worker.perception.emotions import Ensemble, Predictions, Probabilities, Rows, answer_adaptively
from worker.perception.manifest import Adaptive, Manifest
from worker.perception.preprocessing import Image

# Pictures in memory at once; some sets hold pictures of several megapixels.
BLOCK = 64

TIMED_RUNS = 3


def predict_dataset(
    ensemble: Ensemble, dataset: Dataset, detect: DetectFace | None = None
) -> tuple[Predictions, Labels]:
    """The predictions for every usable picture (see `pictures_with_crops`), and their labels, [n].

    Raises DatasetError if no picture is usable.
    """
    (predictions,), labels = predict_framings(ensemble, dataset, [AS_SERVED], detect)
    return predictions, labels


def predict_framings(
    ensemble: Ensemble,
    dataset: Dataset,
    framings: Sequence[Framing],
    detect: DetectFace | None = None,
    without: Container[bytes] = (),
) -> tuple[list[Predictions], Labels]:
    """Like `predict_dataset`, for every framing; each picture is decoded and its face detected once."""
    labels: list[int] = []
    blocks: list[list[Predictions]] = []
    pictures = pictures_with_crops(dataset, framings, detect, without)
    while block := list(islice(pictures, BLOCK)):
        blocks.append([ensemble.predict(crops) for crops in zip(*(crops for _, crops in block), strict=True)])
        labels.extend(picture.label for picture, _ in block)
    if not blocks:
        raise DatasetError(f"{dataset.name}: none of its pictures can be used{left_out(dataset.skipped)}")
    return [joined(predictions) for predictions in zip(*blocks, strict=True)], np.asarray(labels, np.int64)


def adaptive_predictions(predictions: Predictions, manifest: Manifest, adaptive: Adaptive) -> Predictions:
    """The predictions of the adaptive ensemble, from those of the full one for the same pictures."""

    def ask(names: Sequence[str], rows: Rows) -> dict[str, Probabilities]:
        return {name: predictions.by_model[name][rows] for name in names}

    return Predictions(*answer_adaptively(manifest, adaptive, predictions.sides, ask), predictions.sides)


def ms_per_face(ensemble: Ensemble, faces: Sequence[Image]) -> float:
    """Processor time in milliseconds, preprocessing included; the best of several runs."""
    best = min(repeat(lambda: ensemble.predict(faces), timer=process_time, number=1, repeat=TIMED_RUNS))
    return best * 1000 / len(faces)


def joined(blocks: Sequence[Predictions]) -> Predictions:
    """The predictions of several blocks of pictures as one."""
    return Predictions(
        np.concatenate([block.scores for block in blocks]),
        {name: np.concatenate([block.by_model[name] for block in blocks]) for name in blocks[0].by_model},
        np.concatenate([block.escalated for block in blocks]),
        np.concatenate([block.sides for block in blocks]),
    )
