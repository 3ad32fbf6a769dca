"""Weighing the models of a manifest on validation sets, and the threshold of the adaptive ensemble.

The candidates: "uniform" weights; weights by "rank", as in the study (6.6); "manual" ones, as the study did afterwards;
"learned" weights, which make the validation labels most likely; and "joint" ones, which do so together with the
temperature. Each candidate gets a temperature of its own, fitted after combining. Learned weights favour overconfident
models, which the temperature would have corrected; joint weights do not. The candidate with the lowest negative
log-likelihood (NLL) on validation is written into the manifest. NLL measures the published probabilities, and depends
less on a few pictures than accuracy does. Its temperature is higher for small faces if that helps on pictures that it
was not fitted on: one temperature for all sets is too low for the small pictures of FER-2013 and too high for others.

The adaptive ensemble asks FIRST, then the model with the highest weight among the others, then the rest. It becomes the
default of workers if it loses at most MAX_LOSS on every validation set.

Every validation set has the same total weight. Otherwise FER-2013, the largest, would decide alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from training.datasets import Dataset
from training.measuring.crops import DetectFace, pictures_with_crops
from training.measuring.evaluation import Evaluation, compare
from training.measuring.metrics import Labels, Shares, label_probabilities, measure, negative_log_likelihood
from training.measuring.predictions import adaptive_predictions, joined, ms_per_face, predict_dataset
from training.provenance import short_path
from training.recipe import RunError
from training.weighing.weights import (
    DIGITS,
    MAX_LOSS,
    fit_size_exponent,
    fit_temperature,
    fit_threshold,
    joint_weights,
    learned_weights,
    rank_weights,
)
from worker.contract.cores import usable_cores
from worker.perception.emotions import (
    Ensemble,
    Predictions,
    Probabilities,
    calibrate,
    combine,
    ensemble_scores,
    first_model_scores,
    size_factors,
    temperatures,
    weights_of,
)
from worker.perception.manifest import Adaptive, Manifest, Second, SmallFaces, load_manifest, write_manifest
from worker.perception.preprocessing import Image

FIRST = "mobilenetv2"
"""The model that the adaptive ensemble asks first: by far the cheapest of the three."""

LARGE_SIDE = 100
"""A crop with a side of this many pixels is large: its temperature is that of all larger ones."""

MIN_FITTED = 50
"""With fewer pictures than this, the temperature of a stage of the cascade is fitted on all pictures."""

ROUNDS = 3

TIMED_FACES = 256
TIMED_SEED = 1

Role = Literal["validation", "test"]


@dataclass(frozen=True)
class Weighing:
    """One candidate: weights that sum to one, and a temperature; `nll` and `accuracy` are means over validation sets.

    Small faces have a higher temperature if `exponent` is above 0 (see `SmallFaces`).
    Weights and temperature are rounded to DIGITS, and everything is measured with the rounded values.
    """

    weights: dict[str, float]
    temperature: float
    nll: float
    accuracy: float
    exponent: float = 0.0

    def scores(self, predictions: Predictions) -> Probabilities:
        """The calibrated scores, [n, 7], from the predictions of each model."""
        factors = size_factors(SmallFaces(LARGE_SIDE, self.exponent), predictions.sides)
        return calibrate(combine(predictions.by_model, self.weights), self.temperature * factors)


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
    """The predictions for all validation pictures. All sets have the same total share; all shares sum to one.

    `sets` are the pictures of each set, [n] each.
    """

    predictions: Predictions
    labels: Labels
    shares: Shares
    sets: list[npt.NDArray[np.bool_]]

    @property
    def by_model(self) -> dict[str, Probabilities]:
        return self.predictions.by_model

    def right(self, scores: Probabilities) -> npt.NDArray[np.bool_]:
        """Whether the most likely emotion of each picture is its label, [n]."""
        return np.asarray(scores.argmax(axis=1) == self.labels)

    def accuracy(self, scores: Probabilities) -> float:
        return float(self.right(scores) @ self.shares)


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
    ensemble = Ensemble(manifest, models, threads=usable_cores())
    asked: dict[Role, Sequence[Dataset]] = {"validation": validation, "test": test}
    predicted = {
        role: [_Predicted(dataset, *predict_dataset(ensemble, dataset, detect)) for dataset in datasets]
        for role, datasets in asked.items()
    }
    pooled = _pooled(predicted["validation"])
    weighings = _weighings(pooled, manual)
    chosen = min(weighings, key=lambda name: weighings[name].nll)
    weighings[chosen] = _with_small_faces(weighings[chosen], pooled)
    exponent = weighings[chosen].exponent
    manifest = msgspec.structs.replace(
        manifest,
        models=[msgspec.structs.replace(m, weight=weighings[chosen].weights[m.name]) for m in manifest.models],
        temperature=weighings[chosen].temperature,
        ensemble=_ensemble_entry(chosen, weighings, predicted["validation"]),
        adaptive=None,
        small_faces=SmallFaces(LARGE_SIDE, exponent) if exponent else None,
    )
    if len(manifest.models) > 1 and FIRST in pooled.by_model:
        faces = _timed_faces(validation, detect)
        manifest = msgspec.structs.replace(manifest, adaptive=_adaptive(manifest, models, pooled, faces))
    write_manifest(manifest, models)
    written = load_manifest(models)
    names = list(pooled.by_model)
    alone = {name: _weighing({other: float(other == name) for other in names}, pooled) for name in names}

    def measured(one: _Predicted) -> Evaluation:
        scores = {name: weighing.scores(one.predictions) for name, weighing in (alone | weighings).items()}
        return compare(one.dataset, one.labels, scores, one.predictions, written)

    of_roles = {role: list(map(measured, sets)) for role, sets in predicted.items()}
    return EnsembleFit(weighings, chosen, of_roles, written)


def _check_manual(manual: Mapping[str, float], names: Sequence[str]) -> None:
    if set(manual) != set(names):
        raise RunError(f"--manual weighs {sorted(manual)}, but the models are {sorted(names)}; give each one a weight")
    if not all(0 <= weight < float("inf") for weight in manual.values()) or not any(manual.values()):
        raise RunError(f"--manual weights {dict(manual)}: give each a number from 0 up, and one above 0")


def _pooled(predicted: Sequence[_Predicted]) -> _Pooled:
    of_set = np.concatenate([np.full(len(one.labels), i) for i, one in enumerate(predicted)])
    return _Pooled(
        joined([one.predictions for one in predicted]),
        np.concatenate([one.labels for one in predicted]),
        np.concatenate([np.full(len(one.labels), 1 / len(one.labels) / len(predicted)) for one in predicted]),
        [of_set == i for i in range(len(predicted))],
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
    return _calibrated({name: round(weight / total, DIGITS) for name, weight in weights.items()}, pooled, exponent=0.0)


def _with_small_faces(weighing: Weighing, pooled: _Pooled) -> Weighing:
    """The candidate with another temperature for small faces, or as it is if that does not help."""
    combined = combine(pooled.by_model, weighing.weights)
    smallness = LARGE_SIDE / np.clip(pooled.predictions.sides, 1, LARGE_SIDE)
    exponent = fit_size_exponent(combined, pooled.labels, smallness, pooled.shares)
    return _calibrated(weighing.weights, pooled, exponent) if exponent else weighing


def _calibrated(weights: dict[str, float], pooled: _Pooled, exponent: float) -> Weighing:
    """The candidate with these weights and its best temperature."""
    combined = combine(pooled.by_model, weights)
    factors = size_factors(SmallFaces(LARGE_SIDE, exponent), pooled.predictions.sides)
    temperature = round(fit_temperature(combined, pooled.labels, pooled.shares, factors), DIGITS)
    scores = calibrate(combined, temperature * factors)
    nll = negative_log_likelihood(scores, pooled.labels, pooled.shares)
    return Weighing(weights, temperature, nll, pooled.accuracy(scores), exponent)


def _ensemble_entry(chosen: str, weighings: Mapping[str, Weighing], validation: Sequence[_Predicted]) -> dict[str, Any]:
    """The manifest's entry on its weights and temperature; the metrics are means over the validation sets."""
    of_sets = [measure(weighings[chosen].scores(one.predictions), one.labels) for one in validation]
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
    sides = pooled.predictions.sides
    full = pooled.right(ensemble_scores(pooled.by_model, manifest, sides))
    adaptive = Adaptive(FIRST, 1.0, 1.0, second=_second(manifest))
    if max(_lost(full, adaptive_predictions(pooled.predictions, manifest, adaptive), pooled)) > MAX_LOSS:
        adaptive = msgspec.structs.replace(adaptive, second=None)
    answered = np.arange(len(pooled.labels))
    # The threshold depends on the temperature, and the temperature on the pictures above the threshold.
    for _ in range(ROUNDS):
        temperature = _temperature(manifest, pooled, [FIRST], answered)
        adaptive = msgspec.structs.replace(adaptive, temperature=temperature, threshold=1.0)
        alone, _ = first_model_scores(pooled.by_model[FIRST], manifest, adaptive, sides)
        right = {
            "first": pooled.right(alone),
            "escalated": pooled.right(adaptive_predictions(pooled.predictions, manifest, adaptive).scores),
            "full": full,
        }
        adaptive = msgspec.structs.replace(adaptive, threshold=_threshold(alone.max(axis=1), right, pooled))
        answered = np.flatnonzero(~adaptive_predictions(pooled.predictions, manifest, adaptive).escalated)
        if len(answered) < MIN_FITTED:
            break
    adaptive = _with_later_temperatures(manifest, adaptive, pooled)
    served = adaptive_predictions(pooled.predictions, manifest, adaptive)
    of_sets = _lost(full, served, pooled)
    accuracy, full_accuracy = pooled.accuracy(served.scores), float(full @ pooled.shares)
    adaptive = msgspec.structs.replace(adaptive, default=max(of_sets) <= MAX_LOSS)
    with_threshold = msgspec.structs.replace(manifest, adaptive=adaptive)
    figures = {
        "escalated": float(served.escalated @ pooled.shares),
        "asked": {name: float(~np.isnan(rows[:, 0]) @ pooled.shares) for name, rows in served.by_model.items()},
        "accuracy": accuracy,
        "full_accuracy": full_accuracy,
        "loss": full_accuracy - accuracy,
        "loss_of_sets": of_sets,
        "ms_per_face": ms_per_face(Ensemble(with_threshold, models, mode="adaptive"), faces),
        "full_ms_per_face": ms_per_face(Ensemble(manifest, models), faces),
    }
    return msgspec.structs.replace(adaptive, figures=figures)


def _lost(full: npt.NDArray[np.bool_], served: Predictions, pooled: _Pooled) -> list[float]:
    """The accuracy that the adaptive ensemble loses on each set; `full` [n] says where the full one is right."""
    lost: npt.NDArray[np.float64] = full.astype(float) - pooled.right(served.scores)
    return [float(lost[rows].mean()) for rows in pooled.sets]


def _second(manifest: Manifest) -> Second | None:
    """The model to ask second. None if fewer than two others have a weight, because then there is nothing to order."""
    others = [model for model in manifest.models if model.name != FIRST and model.weight > 0]
    return Second(max(others, key=lambda model: model.weight).name, 1.0) if len(others) > 1 else None


def _with_later_temperatures(manifest: Manifest, adaptive: Adaptive, pooled: _Pooled) -> Adaptive:
    """The temperatures of the later stages, each fitted on the pictures that it answers: these are not easy ones."""
    served = adaptive_predictions(pooled.predictions, manifest, adaptive)
    rest = served.escalated
    if (second := adaptive.second) is not None:
        agreed = rest & (pooled.by_model[FIRST].argmax(axis=1) == pooled.by_model[second.model].argmax(axis=1))
        rest = rest & ~agreed
        temperature = _temperature(manifest, pooled, [FIRST, second.model], np.flatnonzero(agreed))
        adaptive = msgspec.structs.replace(adaptive, second=Second(second.model, temperature))
    if rest.sum() < MIN_FITTED:
        return adaptive
    temperature = _temperature(manifest, pooled, list(pooled.by_model), np.flatnonzero(rest))
    return msgspec.structs.replace(adaptive, rest_temperature=temperature)


def _temperature(manifest: Manifest, pooled: _Pooled, names: Sequence[str], rows: npt.NDArray[np.int64]) -> float:
    """The temperature of the average of these models that fits the pictures `rows`, or all if those are too few."""
    if len(rows) < MIN_FITTED:
        rows = np.arange(len(pooled.labels))
    average = combine({name: pooled.by_model[name][rows] for name in names}, weights_of(names, manifest))
    factors = temperatures(1.0, manifest, pooled.predictions.sides[rows])
    return round(fit_temperature(average, pooled.labels[rows], pooled.shares[rows], factors), DIGITS)


def _threshold(
    confidence: npt.NDArray[np.float32], right: Mapping[str, npt.NDArray[np.bool_]], pooled: _Pooled
) -> float:
    """The threshold with which all validation sets together, with a margin, and each of them lose at most MAX_LOSS."""

    def fitted(rows: npt.NDArray[np.bool_], errors: float) -> float:
        shares = pooled.shares[rows] / pooled.shares[rows].sum()
        lost_later = float((right["full"][rows].astype(float) - right["escalated"][rows]) @ shares)
        given = confidence[rows], right["first"][rows], right["escalated"][rows], shares
        return fit_threshold(*given, max_loss=MAX_LOSS - lost_later, errors=errors)

    return max(fitted(np.ones(len(confidence), bool), 1.0), *(fitted(rows, 0.0) for rows in pooled.sets))


def _timed_faces(validation: Sequence[Dataset], detect: DetectFace | None) -> list[Image]:
    """Random faces, about the same number from each validation set."""
    random = np.random.default_rng(TIMED_SEED)
    each = -(-TIMED_FACES // len(validation))
    faces = []
    for dataset in validation:
        shuffled = Dataset(dataset.name, [dataset.pictures[i] for i in random.permutation(len(dataset.pictures))])
        faces += [face for _, (face,) in islice(pictures_with_crops(shuffled, detect=detect), each)]
    return faces
