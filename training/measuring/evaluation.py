"""The metrics of models and ensembles on one dataset."""

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from training.datasets import Dataset
from training.measuring.crops import DetectFace
from training.measuring.framing import AS_SERVED, Framing
from training.measuring.metrics import Labels, Metrics, accuracy, measure
from training.measuring.predictions import adaptive_predictions, predict_framings
from worker.perception.emotions import Ensemble, Predictions, Probabilities
from worker.perception.manifest import Manifest

ENSEMBLE = "ensemble"
"""The name of the full ensemble among the models."""


@dataclass(frozen=True)
class Evaluation:
    """The metrics on `n` pictures of one dataset; `skipped` pictures were left out (reason -> count).

    `metrics` are those of every model and every full ensemble, by name. `adaptive` has the metrics of the adaptive
    ensemble, `escalated` the share of pictures for which its first model was not enough, and `asked` the share about
    which it asked each model; all are None if the manifest has no threshold. `framing` has the change of accuracy in
    other framings, framing -> name -> difference; None if no framing was asked for.
    """

    dataset: str
    n: int
    skipped: Counter[str]
    metrics: dict[str, Metrics]
    adaptive: Metrics | None = None
    escalated: float | None = None
    asked: dict[str, float] | None = None
    framing: dict[str, dict[str, float]] | None = None


def evaluate(
    ensemble: Ensemble,
    dataset: Dataset,
    detect: DetectFace | None = None,
    without: Container[bytes] = (),
    framings: Sequence[Framing] = (),
) -> Evaluation:
    """Compare the predictions for every usable picture of `dataset` (see `pictures_with_crops`) with its label.

    Each of `framings` is compared with the worker's framing. Raises DatasetError if no picture is usable.
    """
    predicted, labels = predict_framings(ensemble, dataset, [AS_SERVED, *framings], detect, without)
    as_served, *others = ({**one.by_model, ENSEMBLE: one.scores} for one in predicted)
    evaluation = compare(dataset, labels, as_served, predicted[0], ensemble.manifest)
    changes = {
        framing.name: {name: accuracy(other[name], labels) - m.accuracy for name, m in evaluation.metrics.items()}
        for framing, other in zip(framings, others, strict=True)
    }
    return replace(evaluation, framing=changes or None)


def compare(
    dataset: Dataset,
    labels: Labels,
    scores: Mapping[str, Probabilities],
    predictions: Predictions,
    manifest: Manifest,
) -> Evaluation:
    """The metrics of `scores` [n, 7], by name, against the labels [n] of the usable pictures of `dataset`.

    The metrics of the adaptive ensemble follow from `predictions`, which are the full ensemble's.
    """
    metrics = {name: measure(rows, labels) for name, rows in scores.items()}
    evaluation = Evaluation(dataset.name, len(labels), dataset.skipped, metrics)
    if manifest.adaptive is None:
        return evaluation
    adaptive = adaptive_predictions(predictions, manifest, manifest.adaptive)
    asked = {name: float((~np.isnan(rows[:, 0])).mean()) for name, rows in adaptive.by_model.items()}
    escalated = float(adaptive.escalated.mean())
    return replace(evaluation, adaptive=measure(adaptive.scores, labels), escalated=escalated, asked=asked)
