"""The metrics of the shipped models on one dataset."""

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass

from training.datasets import Dataset
from training.measuring.crops import DetectFace
from training.measuring.framing import AS_SERVED, Framing
from training.measuring.metrics import Labels, Metrics, accuracy, measure
from training.measuring.predictions import adaptive_scores, predict_framings
from worker.perception.emotions import Ensemble, Predictions


@dataclass(frozen=True)
class Evaluation:
    """The metrics on `n` pictures of one dataset; `skipped` pictures were left out (reason -> count).

    `adaptive` has the metrics of the adaptive ensemble and `escalated` the share of pictures for which it asked all
    models; both are None if the manifest has no threshold. `framing` has the change of accuracy in other framings,
    framing -> model or "ensemble" -> difference; None if no framing was asked for.
    """

    dataset: str
    n: int
    skipped: Counter[str]
    models: dict[str, Metrics]
    ensemble: Metrics
    adaptive: Metrics | None = None
    escalated: float | None = None
    framing: dict[str, dict[str, float]] | None = None


def evaluate(
    ensemble: Ensemble,
    dataset: Dataset,
    detect: DetectFace | None = None,
    without: Container[bytes] = (),
    framings: Sequence[Framing] = (),
) -> Evaluation:
    """Compare the predictions for every usable picture of `dataset` (see `labelled_crops`) with its label.

    Each of `framings` is compared with the worker's framing. Raises DatasetError if no picture is usable.
    """
    (predictions, *others), labels = predict_framings(ensemble, dataset, [AS_SERVED, *framings], detect, without)
    adaptive = ensemble.manifest.adaptive
    scores, escalated = None, None
    if adaptive is not None:
        scores, escalated = adaptive_scores(predictions.by_model, predictions.scores, adaptive)
    return Evaluation(
        dataset=dataset.name,
        n=len(labels),
        skipped=dataset.skipped,
        models={name: measure(probabilities, labels) for name, probabilities in predictions.by_model.items()},
        ensemble=measure(predictions.scores, labels),
        adaptive=None if scores is None else measure(scores, labels),
        escalated=None if escalated is None else float(escalated.mean()),
        framing=_differences(predictions, others, framings, labels) if framings else None,
    )


def _differences(
    as_served: Predictions, others: Sequence[Predictions], framings: Sequence[Framing], labels: Labels
) -> dict[str, dict[str, float]]:
    before = _accuracies(as_served, labels)
    return {
        framing.name: {name: after - before[name] for name, after in _accuracies(other, labels).items()}
        for framing, other in zip(framings, others, strict=True)
    }


def _accuracies(predictions: Predictions, labels: Labels) -> dict[str, float]:
    """The accuracy of each model and of the ensemble."""
    all_scores = {**predictions.by_model, "ensemble": predictions.scores}
    return {name: accuracy(scores, labels) for name, scores in all_scores.items()}
