"""Weighing the models of a manifest on validation sets, and the threshold of the adaptive ensemble.

The candidates: "uniform" weights; weights by "rank", as in the study (6.6); "manual" ones, as the study did afterwards;
"learned" weights, which make the validation labels most likely; and "joint" ones, which do so together with the
temperature. Each candidate gets a temperature of its own, fitted after combining. Learned weights favour overconfident
models, which the temperature would have corrected; joint weights do not. The candidate with the lowest negative
log-likelihood (NLL) on validation is written into the manifest. NLL measures the published probabilities, and depends
less on a few pictures than accuracy does.

Every validation set has the same total weight. Otherwise FER-2013, the largest, would decide alone.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from training.datasets import Dataset
from training.measuring.crops import DetectFace, labelled_crops
from training.measuring.evaluation import Evaluation, compare
from training.measuring.metrics import Labels, Shares, label_probabilities, measure
from training.measuring.predictions import adaptive_scores, joined, ms_per_face, predict_dataset
from training.provenance import short_path
from training.recipe import RunError
from training.weighing.weights import (
    DIGITS,
    fit_temperature,
    fit_threshold,
    joint_weights,
    learned_weights,
    rank_weights,
)
from worker.perception.emotions import (
    Ensemble,
    Predictions,
    Probabilities,
    calibrate,
    combine,
    ensemble_scores,
    first_model_scores,
)
from worker.perception.manifest import Adaptive, Manifest, load_manifest, write_manifest
from worker.perception.preprocessing import Image

FIRST = "mobilenetv2"
"""The model that the adaptive ensemble asks first: by far the cheapest of the three."""

TIMED_FACES = 256
TIMED_SEED = 1

Role = Literal["validation", "test"]


@dataclass(frozen=True)
class Weighing:
    """One candidate: weights that sum to one, and a temperature; `nll` and `accuracy` are means over validation sets.

    Weights and temperature are rounded to DIGITS, and everything is measured with the rounded values.
    """

    weights: dict[str, float]
    temperature: float
    nll: float
    accuracy: float

    def scores(self, by_model: Mapping[str, Probabilities]) -> Probabilities:
        """The calibrated scores, [n, 7], from the predictions of each model."""
        return calibrate(combine(by_model, self.weights), self.temperature)


@dataclass(frozen=True)
class EnsembleFit:
    """The candidates by name, the name of the chosen one, the metrics on every dataset, and the written manifest."""

    weighings: dict[str, Weighing]
    chosen: str
    measured: dict[Role, list[Evaluation]]
    manifest: Manifest


@dataclass(frozen=True)
class _Predicted:
    """The predictions of the models for the pictures of one dataset."""

    dataset: Dataset
    predictions: Predictions
    labels: Labels


@dataclass(frozen=True)
class _Pooled:
    """The predictions for all validation pictures. The `shares` of each set sum to the same, all of them to one."""

    by_model: dict[str, Probabilities]
    labels: Labels
    shares: Shares

    def accuracy(self, scores: Probabilities) -> float:
        return float((scores.argmax(axis=1) == self.labels) @ self.shares)


def fit_ensemble(
    models: Path,
    validation: Sequence[Dataset],
    test: Sequence[Dataset] = (),
    manual: Mapping[str, float] | None = None,
    detect: DetectFace | None = None,
) -> EnsembleFit:
    """Weigh the models in the folder `models` on `validation`, and write the best candidate into their manifest.

    If there is more than one model and FIRST is among them, the manifest also gets the threshold of the adaptive
    ensemble. `validation` is at least one set; `test` is measured and decides nothing. `manual` are weights by model.
    Without `detect`, the pictures are crops already.

    Raises DatasetError if a dataset has no usable picture, ManifestError if the manifest cannot be used, and RunError
    if `manual` does not weigh its models; then nothing is written.
    """
    manifest = load_manifest(models)
    if manual is not None:
        _check_manual(manual, [model.name for model in manifest.models])
    ensemble = Ensemble(manifest, models, threads=len(os.sched_getaffinity(0)))
    asked: dict[Role, Sequence[Dataset]] = {"validation": validation, "test": test}
    predicted = {
        role: [_Predicted(dataset, *predict_dataset(ensemble, dataset, detect)) for dataset in datasets]
        for role, datasets in asked.items()
    }
    pooled = _pooled(predicted["validation"])
    weighings = _weighings(pooled, manual)
    chosen = min(weighings, key=lambda name: weighings[name].nll)
    manifest = msgspec.structs.replace(
        manifest,
        models=[msgspec.structs.replace(m, weight=weighings[chosen].weights[m.name]) for m in manifest.models],
        temperature=weighings[chosen].temperature,
        ensemble=_ensemble_entry(chosen, weighings, predicted["validation"]),
        adaptive=None,
    )
    if len(manifest.models) > 1 and FIRST in pooled.by_model:
        faces = _timed_faces(validation, detect)
        manifest = msgspec.structs.replace(manifest, adaptive=_adaptive(manifest, models, pooled, faces))
    write_manifest(manifest, models)
    written = load_manifest(models)
    names = list(pooled.by_model)
    alone = {name: _weighing({other: float(other == name) for other in names}, pooled) for name in names}

    def measured(one: _Predicted) -> Evaluation:
        scores = {name: weighing.scores(one.predictions.by_model) for name, weighing in (alone | weighings).items()}
        return compare(one.dataset, one.labels, scores, one.predictions.by_model, written)

    of_roles = {role: list(map(measured, sets)) for role, sets in predicted.items()}
    return EnsembleFit(weighings, chosen, of_roles, written)


def _check_manual(manual: Mapping[str, float], names: Sequence[str]) -> None:
    if set(manual) != set(names):
        raise RunError(f"--manual weighs {sorted(manual)}, but the models are {sorted(names)}; give each one a weight")
    if not all(0 <= weight < float("inf") for weight in manual.values()) or not any(manual.values()):
        raise RunError(f"--manual weights {dict(manual)}: give each a number from 0 up, and one above 0")


def _pooled(predicted: Sequence[_Predicted]) -> _Pooled:
    return _Pooled(
        joined([one.predictions for one in predicted]).by_model,
        np.concatenate([one.labels for one in predicted]),
        np.concatenate([np.full(len(one.labels), 1 / len(one.labels) / len(predicted)) for one in predicted]),
    )


def _weighings(pooled: _Pooled, manual: Mapping[str, float] | None) -> dict[str, Weighing]:
    """The candidates. The one that needs the least fitting comes first, so that it is chosen among equals."""
    names = list(pooled.by_model)
    likelihoods = np.stack([label_probabilities(pooled.by_model[name], pooled.labels) for name in names])
    learned = learned_weights(likelihoods, pooled.shares).tolist()
    weights = {
        "uniform": dict.fromkeys(names, 1.0),
        "rank": rank_weights({name: pooled.accuracy(pooled.by_model[name]) for name in names}),
        **({} if manual is None else {"manual": {name: manual[name] for name in names}}),
        "learned": dict(zip(names, learned, strict=True)),
    }
    weighings = {name: _weighing(one, pooled) for name, one in weights.items()}
    probabilities = np.stack(list(pooled.by_model.values())).astype(np.float64)
    joint = joint_weights(probabilities, pooled.labels, pooled.shares, weighings["uniform"].temperature).tolist()
    return {**weighings, "joint": _weighing(dict(zip(names, joint, strict=True)), pooled)}


def _weighing(weights: Mapping[str, float], pooled: _Pooled) -> Weighing:
    total = sum(weights.values())
    rounded = {name: round(weight / total, DIGITS) for name, weight in weights.items()}
    combined = combine(pooled.by_model, rounded)
    temperature = round(fit_temperature(combined, pooled.labels, pooled.shares), DIGITS)
    scores = calibrate(combined, temperature)
    nll = float(-np.log(label_probabilities(scores, pooled.labels)) @ pooled.shares)
    return Weighing(rounded, temperature, nll, pooled.accuracy(scores))


def _ensemble_entry(chosen: str, weighings: Mapping[str, Weighing], validation: Sequence[_Predicted]) -> dict[str, Any]:
    """The manifest's entry on its weights and temperature; the metrics are means over the validation sets."""
    of_sets = [measure(weighings[chosen].scores(one.predictions.by_model), one.labels) for one in validation]
    return {
        "method": chosen,
        "date": date.today().isoformat(),
        "validation": [short_path(one.dataset.name) for one in validation],
        "n": [len(one.labels) for one in validation],
        "figures": {
            name: float(np.mean([getattr(metrics, name) for metrics in of_sets]))
            for name in ("accuracy", "macro_recall", "ece", "nll")
        },
        "compared": {name: {"accuracy": w.accuracy, "nll": w.nll} for name, w in weighings.items()},
    }


def _adaptive(manifest: Manifest, models: Path, pooled: _Pooled, faces: Sequence[Image]) -> Adaptive:
    """The manifest's entry on the adaptive ensemble: its threshold and its metrics. `faces` are for timing."""
    first = pooled.by_model[FIRST]
    unlimited = Adaptive(FIRST, round(fit_temperature(first, pooled.labels, pooled.shares), DIGITS), 1.0)
    alone, _ = first_model_scores(first, unlimited)
    full = ensemble_scores(pooled.by_model, manifest)
    threshold = fit_threshold(
        alone.max(axis=1), alone.argmax(axis=1) == pooled.labels, full.argmax(axis=1) == pooled.labels, pooled.shares
    )
    adaptive = msgspec.structs.replace(unlimited, threshold=threshold)
    scores, escalated = adaptive_scores(pooled.by_model, full, adaptive)
    accuracy, full_accuracy = pooled.accuracy(scores), pooled.accuracy(full)
    with_threshold = msgspec.structs.replace(manifest, adaptive=adaptive)
    figures = {
        "escalated": float(escalated @ pooled.shares),
        "accuracy": accuracy,
        "full_accuracy": full_accuracy,
        "loss": full_accuracy - accuracy,
        "ms_per_face": ms_per_face(Ensemble(with_threshold, models, mode="adaptive"), faces),
        "full_ms_per_face": ms_per_face(Ensemble(manifest, models), faces),
    }
    return msgspec.structs.replace(adaptive, figures=figures)


def _timed_faces(validation: Sequence[Dataset], detect: DetectFace | None) -> list[Image]:
    """Random faces, about the same number from each validation set."""
    random = np.random.default_rng(TIMED_SEED)
    each = -(-TIMED_FACES // len(validation))
    faces = []
    for dataset in validation:
        shuffled = Dataset(dataset.name, [dataset.pictures[i] for i in random.permutation(len(dataset.pictures))])
        faces += [face for (face,), _ in islice(labelled_crops(shuffled, detect=detect), each)]
    return faces
