"""How the models of a set are weighed against each other, and where one of them is enough.

Ways to weigh them: by rank as the study did, w_i = R(A_i) / sum of R(A) over the ranks R of the accuracies (6.6); by
hand, as it did afterwards; all alike; learned, the weights under which the validation pictures are most likely; and
joint, the same together with the temperature. Each gets a temperature of its own, fitted after combining. Learning
weights before there is one favours models that are sure of themselves, which the temperature would have made of the
others too; so joint weights are more even, and better. The one with the lowest negative log-likelihood on
validation goes into the manifest: that judges the probabilities that serving publishes, and hangs on a few pictures
less than accuracy does.

Where there are several validation sets each counts the same, however many pictures it has: FER-2013 alone would
otherwise decide for all.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from time import process_time
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from rich.table import Table
from scipy.optimize import minimize
from scipy.special import softmax
from scipy.stats import rankdata

from training.conversion.convert import TEMPERATURES, fit_temperature
from training.datasets import Dataset
from training.measuring.evaluation import FindFace, adaptively, labelled_crops, left_out, means, read_pictures
from training.measuring.metrics import Figures, Labels, Shares, measure, of_truth
from training.recipe import RunError
from worker.perception.emotions import (
    SMALLEST,
    Ensemble,
    Probabilities,
    calibrate,
    combine,
    first_alone,
    together,
)
from worker.perception.manifest import Adaptive, Manifest, load_manifest, write_manifest
from worker.perception.preprocessing import Image

FIRST = "mobilenetv2"
"""The model that the adaptive ensemble asks first: by far the cheapest of the three."""

MAX_LOSS = 0.003
"""How much accuracy the adaptive ensemble may lose against the full one."""

DIGITS = 4
"""Of weights, temperatures and the threshold in the manifest; all figures are those of the rounded values."""

TIMED_FACES = 256
TIMED_RUNS = 3
TIMED_SEED = 1

Role = Literal["validation", "test"]


@dataclass(frozen=True)
class Weighing:
    """One way to weigh the models: weights that sum to one, a temperature, and what comes of it on validation.

    `nll` and `accuracy` are means over the validation sets.
    """

    weights: dict[str, float]
    temperature: float
    nll: float
    accuracy: float

    def scores(self, by_model: Mapping[str, Probabilities]) -> Probabilities:
        """The calibrated scores, [n, 7], of what the models say."""
        return calibrate(combine(by_model, self.weights), self.temperature)


@dataclass(frozen=True)
class Measured:
    """Figures on one dataset: of each model alone and of each weighing, by name, and of the adaptive ensemble."""

    role: Role
    dataset: str
    n: int
    skipped: Counter[str]
    figures: dict[str, Figures]
    adaptive: Figures | None
    escalated: float | None

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON has them."""
        adaptive = {"adaptive": {"escalated": self.escalated, **asdict(self.adaptive)}} if self.adaptive else {}
        return {
            "dataset": self.dataset,
            "role": self.role,
            "n": self.n,
            "skipped_reasons": dict(self.skipped),
            "figures": {name: asdict(figures) for name, figures in self.figures.items()} | adaptive,
        }

    def to_table(self) -> Table:
        """The figures for a terminal."""
        table = Table(title=f"{self.role}: {self.dataset}: {self.n} pictures{left_out(self.skipped)}")
        for heading in ("", "accuracy", "macro recall", "ECE", "NLL"):
            table.add_column(heading, justify="right" if heading else "left")
        for name, figures in self.figures.items():
            table.add_row(name, *means(figures))
        if self.adaptive is not None:
            table.add_row(f"adaptive ({self.escalated:.0%} escalated)", *means(self.adaptive))
        return table


@dataclass(frozen=True)
class EnsembleFit:
    """The weighings by name, which of them was chosen, the figures on every dataset, and the manifest as written."""

    weighings: dict[str, Weighing]
    chosen: str
    measured: list[Measured]
    manifest: Manifest

    def to_json(self) -> list[dict[str, Any]]:
        """A line for each dataset, validation first, and one for what was chosen."""
        chosen = {
            "chosen": self.chosen,
            "weighings": {name: asdict(weighing) for name, weighing in self.weighings.items()},
            "adaptive": msgspec.to_builtins(self.manifest.adaptive),
        }
        return [*(measured.to_json() for measured in self.measured), chosen]

    def to_tables(self) -> list[Table]:
        """A table for each dataset, validation first, and before them one of the weights."""
        models = [model.name for model in self.manifest.models]
        table = Table(title="weights, all fitted on validation; the lowest mean NLL is chosen")
        for heading in ("", *models, "temperature", "mean NLL", "mean accuracy"):
            table.add_column(heading, justify="right" if heading else "left")
        for name, w in self.weighings.items():
            values = (*(w.weights[model] for model in models), w.temperature, w.nll, w.accuracy)
            table.add_row(name + " (chosen)" * (name == self.chosen), *(f"{value:.4f}" for value in values))
        return [table, *(measured.to_table() for measured in self.measured)]

    def summary(self) -> str:
        """What went into the manifest, in a line."""
        said = f"wrote the {self.chosen} weights and temperature {self.manifest.temperature:g}"
        adaptive = self.manifest.adaptive
        if adaptive is None:
            return f"{said}; no adaptive ensemble, which takes {FIRST} and another model"
        figures = adaptive.figures
        return (
            f"{said}; adaptive from a confidence of {adaptive.threshold:g}: {figures['escalated']:.0%} escalated, "
            f"{100 * figures['loss']:.2f} points lost, {figures['ms_per_face']:.2f} ms a face "
            f"for {figures['full_ms_per_face']:.2f}"
        )


def fit_ensemble(
    models: Path,
    validation: Sequence[Dataset],
    test: Sequence[Dataset] = (),
    manual: Mapping[str, float] | None = None,
    find: FindFace | None = None,
) -> EnsembleFit:
    """Weigh the models in the folder `models` on `validation`, and write the best weighing into their manifest.

    With it go its temperature, where it comes from, and the threshold of the adaptive ensemble where there is more
    than one model and FIRST is among them. `validation` is one set or more; `test` is measured and decides nothing.
    `manual` are weights by model. The faces are cut out by `find`, or are the whole pictures.

    Raises DatasetError where a dataset has no picture that can be read, ManifestError where the manifest cannot be
    used, and RunError where `manual` are no weights of its models; nothing is written then.
    """
    manifest = load_manifest(models)
    if manual is not None:
        _check_manual(manual, [model.name for model in manifest.models])
    ensemble = Ensemble(manifest, models, threads=len(os.sched_getaffinity(0)))
    answers: dict[Role, list[_Answers]] = {
        "validation": [_answers(ensemble, dataset, find) for dataset in validation],
        "test": [_answers(ensemble, dataset, find) for dataset in test],
    }
    pooled = _pooled(answers["validation"])
    weighings = {name: _weighing(weights, pooled) for name, weights in _weights(pooled, manual).items()}
    weighings["joint"] = _joint(pooled, weighings["uniform"].temperature)
    chosen = min(weighings, key=lambda name: weighings[name].nll)
    manifest = msgspec.structs.replace(
        manifest,
        models=[msgspec.structs.replace(m, weight=weighings[chosen].weights[m.name]) for m in manifest.models],
        temperature=weighings[chosen].temperature,
        ensemble=_origin(chosen, weighings, answers["validation"]),
        adaptive=None,
    )
    if len(manifest.models) > 1 and FIRST in pooled.by_model:
        timed = _timed_faces(validation, find)
        manifest = msgspec.structs.replace(manifest, adaptive=_adaptive(manifest, models, pooled, timed))
    write_manifest(manifest, models)
    written = load_manifest(models)
    compared = {**{name: _alone(name, pooled) for name in pooled.by_model}, **weighings}
    measured = [_measured(role, one, compared, written) for role, of_role in answers.items() for one in of_role]
    return EnsembleFit(weighings, chosen, measured, written)


def rank_weights(accuracy: Mapping[str, float]) -> dict[str, float]:
    """The study's formula (6.6): the best model has the highest rank, the worst has 1; equal ones share theirs."""
    ranks = rankdata(list(accuracy.values()), method="average")
    return {name: float(rank / ranks.sum()) for name, rank in zip(accuracy, ranks, strict=True)}


def learned_weights(likelihoods: npt.NDArray[np.float64], shares: Shares) -> npt.NDArray[np.float64]:
    """The weights [m] of a mixture of m models that make n pictures most likely; not negative, they sum to one.

    `likelihoods` [m, n] are what each model gave to each picture's label, all above 0; a picture counts by its share,
    and the shares sum to one. The log-likelihood is concave in the weights, so that the one summit found by SLSQP
    (Kraft, 1988) is the best there is.
    """

    def loss_and_gradient(weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        mixed = weights @ likelihoods
        return float(-np.log(mixed) @ shares), -(likelihoods / mixed) @ shares

    models = len(likelihoods)
    found = minimize(
        loss_and_gradient,
        np.full(models, 1 / models),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * models,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-15, "maxiter": 1000},
    )
    weights = np.maximum(found.x, 0)
    return np.asarray(weights / weights.sum(), np.float64)


def joint_weights(
    probabilities: npt.NDArray[np.float64], labels: Labels, shares: Shares, temperature: float
) -> npt.NDArray[np.float64]:
    """The weights [m] that make n pictures most likely once their mixture is calibrated, by the best temperature.

    `probabilities` [m, n, 7] are what each model says; the rest as for `learned_weights`. This likelihood need not
    have one summit: it is climbed from equal weights and the `temperature` that suits these, by L-BFGS-B (Byrd, Lu,
    Nocedal and Zhu, 1995) over logarithms of the weights, which keeps them from falling below 0.
    """
    pictures = np.arange(len(labels))

    def loss_and_gradient(x: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        weights, heat = softmax(x[:-1]), np.exp(x[-1])
        mixed = np.maximum(np.tensordot(weights, probabilities, 1), SMALLEST)
        logits = np.log(mixed) / heat
        calibrated = softmax(logits, axis=1)
        loss = float(-np.log(of_truth(calibrated, labels)) @ shares)
        calibrated[pictures, labels] -= 1  # the gradient of the loss by the logits, but for the shares
        by_logits = calibrated * shares[:, np.newaxis]
        by_weights = np.tensordot(probabilities, by_logits / (heat * mixed), 2)
        return loss, np.append(weights * (by_weights - weights @ by_weights), -(by_logits * logits).sum())

    models = len(probabilities)
    found = minimize(
        loss_and_gradient,
        np.append(np.zeros(models), np.log(temperature)),
        jac=True,
        method="L-BFGS-B",
        bounds=[*[(None, None)] * models, tuple(np.log(TEMPERATURES))],
        options={"ftol": 1e-12, "gtol": 1e-8, "maxiter": 1000},
    )
    return np.asarray(softmax(found.x[:-1]), np.float64)


def fit_threshold(
    confidence: npt.NDArray[np.float32],
    first_right: npt.NDArray[np.bool_],
    full_right: npt.NDArray[np.bool_],
    shares: Shares,
    max_loss: float = MAX_LOSS,
) -> float:
    """The lowest threshold that loses at most `max_loss` of accuracy, with a margin for chance: DIGITS digits, 0 to 1.

    All arguments [n]: how sure the first model is of each picture, whether it is right, and the full ensemble; a
    picture counts by its share, and the shares sum to one.

    The loss and its standard error together stay within `max_loss`, at this threshold and at all above it: a dip that
    chance made further down is not taken. Over 60 random halvings of three sets (one to three of PublicTest, RAF-DB
    and CK+, networks of three fits of MobileNetV2), thresholds fitted on one half lost more than 0.003 on the other in
    20 to 32 % of cases, and escalated 54 to 63 % of the pictures; without the standard error in 45 to 55 %, with 46 to
    61 % escalated (23 November 2026).
    """
    order = np.argsort(-confidence, kind="stable")
    lost = (full_right.astype(float) - first_right)[order] * shares[order]
    bound = np.cumsum(lost) + np.sqrt(np.cumsum(lost**2))
    descending = confidence[order].astype(float)
    last_of_equals = np.append(np.diff(descending) != 0, True)
    allowed = np.logical_and.accumulate(bound[last_of_equals] <= max_loss)
    lowest = descending[last_of_equals][allowed].min(initial=1.0)
    return float(np.ceil(lowest * 10**DIGITS) / 10**DIGITS)


def _check_manual(manual: Mapping[str, float], names: Sequence[str]) -> None:
    if set(manual) != set(names):
        raise RunError(f"--manual weighs {sorted(manual)}, but the models are {sorted(names)}; give each one a weight")
    if not all(0 <= weight < float("inf") for weight in manual.values()) or not any(manual.values()):
        raise RunError(f"--manual weights {dict(manual)}: give each a number from 0 up, and one above 0")


@dataclass(frozen=True)
class _Answers:
    """What the models made of the pictures of one dataset."""

    dataset: Dataset
    by_model: dict[str, Probabilities]
    labels: Labels


@dataclass(frozen=True)
class _Pooled:
    """What the models made of all validation pictures; each set's `shares` sum to the same, all of them to one."""

    by_model: dict[str, Probabilities]
    labels: Labels
    shares: Shares

    def accuracy(self, scores: Probabilities) -> float:
        return float((scores.argmax(axis=1) == self.labels) @ self.shares)


def _answers(ensemble: Ensemble, dataset: Dataset, find: FindFace | None) -> _Answers:
    readings, labels = read_pictures(ensemble, dataset, find)
    return _Answers(dataset, readings.by_model, labels)


def _pooled(answers: Sequence[_Answers]) -> _Pooled:
    return _Pooled(
        {name: np.concatenate([one.by_model[name] for one in answers]) for name in answers[0].by_model},
        np.concatenate([one.labels for one in answers]),
        np.concatenate([np.full(len(one.labels), 1 / len(one.labels) / len(answers)) for one in answers]),
    )


def _weights(pooled: _Pooled, manual: Mapping[str, float] | None) -> dict[str, dict[str, float]]:
    """The weights by each method; what needs the least fitting first, so that it is taken where all are equal."""
    names = list(pooled.by_model)
    likelihoods = np.stack([of_truth(pooled.by_model[name], pooled.labels) for name in names])
    learned = learned_weights(likelihoods, pooled.shares).tolist()
    return {
        "uniform": dict.fromkeys(names, 1.0),
        "rank": rank_weights({name: pooled.accuracy(pooled.by_model[name]) for name in names}),
        **({} if manual is None else {"manual": {name: manual[name] for name in names}}),
        "learned": dict(zip(names, learned, strict=True)),
    }


def _joint(pooled: _Pooled, temperature: float) -> Weighing:
    probabilities = np.stack(list(pooled.by_model.values())).astype(np.float64)
    weights = joint_weights(probabilities, pooled.labels, pooled.shares, temperature).tolist()
    return _weighing(dict(zip(pooled.by_model, weights, strict=True)), pooled)


def _alone(name: str, pooled: _Pooled) -> Weighing:
    return _weighing({other: float(other == name) for other in pooled.by_model}, pooled)


def _weighing(weights: Mapping[str, float], pooled: _Pooled) -> Weighing:
    total = sum(weights.values())
    rounded = {name: round(weight / total, DIGITS) for name, weight in weights.items()}
    combined = combine(pooled.by_model, rounded)
    temperature = round(fit_temperature(combined, pooled.labels, pooled.shares), DIGITS)
    scores = calibrate(combined, temperature)
    nll = float(-np.log(of_truth(scores, pooled.labels)) @ pooled.shares)
    return Weighing(rounded, temperature, nll, pooled.accuracy(scores))


def _origin(chosen: str, weighings: Mapping[str, Weighing], validation: Sequence[_Answers]) -> dict[str, Any]:
    """What the manifest says about its weights and its temperature; figures are means over the validation sets."""
    of_sets = [measure(weighings[chosen].scores(one.by_model), one.labels) for one in validation]
    return {
        "method": chosen,
        "date": date.today().isoformat(),
        "validation": ["/".join(Path(one.dataset.name).parts[-2:]) for one in validation],
        "n": [len(one.labels) for one in validation],
        "figures": {
            figure: float(np.mean([getattr(figures, figure) for figures in of_sets]))
            for figure in ("accuracy", "macro_recall", "ece", "nll")
        },
        "compared": {name: {"accuracy": w.accuracy, "nll": w.nll} for name, w in weighings.items()},
    }


def _adaptive(manifest: Manifest, models: Path, pooled: _Pooled, timed: Sequence[Image]) -> Adaptive:
    """The adaptive ensemble of `manifest`: threshold and figures."""
    first = pooled.by_model[FIRST]
    unlimited = Adaptive(FIRST, round(fit_temperature(first, pooled.labels, pooled.shares), DIGITS), 1.0)
    alone, _ = first_alone(first, unlimited)
    full = together(pooled.by_model, manifest)
    threshold = fit_threshold(
        alone.max(axis=1), alone.argmax(axis=1) == pooled.labels, full.argmax(axis=1) == pooled.labels, pooled.shares
    )
    adaptive = msgspec.structs.replace(unlimited, threshold=threshold)
    scores, escalated = adaptively(pooled.by_model, full, adaptive)
    accuracy, full_accuracy = pooled.accuracy(scores), pooled.accuracy(full)
    with_threshold = msgspec.structs.replace(manifest, adaptive=adaptive)
    figures = {
        "escalated": float(escalated @ pooled.shares),
        "accuracy": accuracy,
        "full_accuracy": full_accuracy,
        "loss": full_accuracy - accuracy,
        "ms_per_face": _ms_per_face(Ensemble(with_threshold, models, mode="adaptive"), timed),
        "full_ms_per_face": _ms_per_face(Ensemble(manifest, models), timed),
    }
    return msgspec.structs.replace(adaptive, figures=figures)


def _measured(role: Role, answers: _Answers, compared: Mapping[str, Weighing], manifest: Manifest) -> Measured:
    adaptive, escalated = None, None
    if manifest.adaptive is not None:
        by_model = answers.by_model
        scores, asked = adaptively(by_model, together(by_model, manifest), manifest.adaptive)
        adaptive, escalated = measure(scores, answers.labels), float(asked.mean())
    return Measured(
        role,
        answers.dataset.name,
        len(answers.labels),
        answers.dataset.skipped,
        {name: measure(w.scores(answers.by_model), answers.labels) for name, w in compared.items()},
        adaptive,
        escalated,
    )


def _timed_faces(validation: Sequence[Dataset], find: FindFace | None) -> list[Image]:
    """Some faces of the validation sets, the same number of each, in no order."""
    random = np.random.default_rng(TIMED_SEED)
    each = -(-TIMED_FACES // len(validation))
    faces = []
    for dataset in validation:
        shuffled = Dataset(dataset.name, [dataset.pictures[i] for i in random.permutation(len(dataset.pictures))])
        faces += [face for (face,), _ in islice(labelled_crops(shuffled, find=find), each)]
    return faces


def _ms_per_face(ensemble: Ensemble, faces: Sequence[Image]) -> float:
    """Processor time on one thread, preprocessing included; the best of a few runs."""
    best = float("inf")
    for _ in range(TIMED_RUNS):
        started = process_time()
        ensemble.predict(faces)
        best = min(best, process_time() - started)
    return best * 1000 / len(faces)
