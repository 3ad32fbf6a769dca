"""Predicting the emotions that faces display: the models of the manifest and their weighted ensemble.

The models give logits. Their probabilities are averaged with the manifest's weights (the study, 4.4). The average is
calibrated by one temperature (Guo et al., On Calibration of Modern Neural Networks, 2017, section 4.2), which may be
higher for small faces.

The adaptive ensemble is a cascade (Wang et al., IDK Cascades, 2018). One cheap model predicts every face. If its
calibrated confidence is too low, a second one is asked, and if the two disagree, all others. In a video, a later model
is not asked about a face again while the first one sees the same.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from worker.contract.messages import EMOTIONS
from worker.perception.interpreter import TFLiteModel
from worker.perception.manifest import (
    Adaptive,
    EnsembleMode,
    Manifest,
    ManifestError,
    Model,
    Second,
    SmallFaces,
    load_manifest,
)
from worker.perception.preprocessing import CHANNELS, Colour, Image, network_pixels

Probabilities = npt.NDArray[np.float32]
"""[n, 7], rows sum to one, columns in the order of EMOTIONS."""

Pixels = npt.NDArray[np.uint8]
"""[n, size, size, channels], the input of a model before it is normalized."""

Sides = npt.NDArray[np.int64]
"""[n], the shorter side of each crop in pixels, before it is scaled to the input of a model."""

Rows = npt.NDArray[np.int64]
"""Indices of faces."""

Ask = Callable[[Sequence[str], Rows], dict[str, Probabilities]]
"""Asks the models with these names about these faces. Returns their probabilities, [rows, 7] each."""

View = tuple[int, Colour]
"""Size and colour. Models with the same view share their pixels."""

# Faces per call of an interpreter. A batch of 16 gains almost nothing more (docs/benchmarks.md). The faces left over
# after the last full batch run one by one, because padding the batch would often cost more than it saves.
BATCH = 8

# The first model sees the same face as before if at most this share of its probabilities has moved to other emotions.
# docs/tracking.md has the measurements.
SAME_SHARE = 0.2

SMALLEST = 1e-12
"""Replaces a probability of 0 before the logarithm."""


@dataclass(frozen=True)
class Predictions:
    """Predictions for n faces: `scores` [n, 7] of the calibrated ensemble, `by_model` of each model alone.

    `escalated` [n] marks the faces about which the adaptive ensemble asked more than its first model; the full ensemble
    marks none. A row of `by_model` is NaN if the model did not predict that face. It is that of an earlier frame if the
    model was not asked again. `sides` [n] are those of the crops.
    `inference_s` has the seconds of each model that predicted at least one face.
    """

    scores: Probabilities
    by_model: dict[str, Probabilities]
    escalated: npt.NDArray[np.bool_]
    sides: Sides
    inference_s: dict[str, float] = field(default_factory=dict)

    def labels(self) -> list[dict[str, str]]:
        """For each face, the most likely emotion according to each model that predicted it."""
        labels: list[dict[str, str]] = [{} for _ in range(len(self.scores))]
        for name, rows in self.by_model.items():
            for i in np.flatnonzero(~np.isnan(rows[:, 0])):
                labels[i][name] = EMOTIONS[int(rows[i].argmax())]
        return labels


class Ensemble:
    """The models of one manifest, loaded. Make one per process and keep it."""

    def __init__(self, manifest: Manifest, folder: Path, threads: int = 1, mode: EnsembleMode = "full") -> None:
        """Load the files of `manifest` from `folder`; ManifestError if one is not a model with seven logits.

        The mode "adaptive" needs a manifest with a threshold.
        """
        self.manifest = manifest
        self._adaptive = manifest.adaptive if mode == "adaptive" else None
        self._models = {model.name: _LoadedModel(model, folder, threads) for model in manifest.models}

    @classmethod
    def load(cls, folder: Path, threads: int = 1, mode: EnsembleMode | None = "full") -> "Ensemble":
        """The ensemble of a folder; without `mode`, in the manifest's own.

        ManifestError if a file does not match the manifest.
        """
        manifest = load_manifest(folder, mode)
        return cls(manifest, folder, threads, mode or manifest.default_mode)

    def predict(self, crops: Sequence[Image], before: Sequence[int] = ()) -> Predictions:
        """Predictions for n face crops (`preprocessing.face_crop`), [height, width, 3] each of any size; n may be 0.

        In a video, `before` [n] is the index of the crop of the same face one frame earlier; -1 if there is none.
        """
        sides = np.asarray([min(crop.shape[:2]) for crop in crops], np.int64)
        views: dict[View, Pixels] = {}
        inference_s: dict[str, float] = {}

        def ask(names: Sequence[str], rows: Rows) -> dict[str, Probabilities]:
            if len(rows) == len(crops):
                return self._predict_by_model(names, crops, views, inference_s)
            known = {view: pixels[rows] for view, pixels in views.items()}
            return self._predict_by_model(names, [crops[i] for i in rows], known, inference_s)

        if self._adaptive is not None:
            scores, by_model, escalated = answer_adaptively(self.manifest, self._adaptive, sides, ask, before)
            return Predictions(scores, by_model, escalated, sides, inference_s)
        by_model = ask([model.name for model in self.manifest.models], np.arange(len(crops)))
        scores = ensemble_scores(by_model, self.manifest, sides)
        return Predictions(scores, by_model, np.zeros(len(crops), bool), sides, inference_s)

    def _predict_by_model(
        self,
        names: Sequence[str],
        crops: Sequence[Image],
        views: dict[View, Pixels],
        inference_s: dict[str, float],
    ) -> dict[str, Probabilities]:
        """The probabilities of the models `names` for all `crops`. Adds pixels to `views`, times to `inference_s`."""
        by_model = {}
        for model in self.manifest.models:
            if model.name not in names:
                continue
            view = model.input.size, model.input.colour
            if view not in views:
                views[view] = _scaled(crops, *view)
            begun = time.perf_counter()
            by_model[model.name] = softmax(self._models[model.name].logits(views[view]))
            if len(crops):
                inference_s[model.name] = time.perf_counter() - begun
        return by_model


def answer_adaptively(
    manifest: Manifest, adaptive: Adaptive, sides: Sides, ask: Ask, before: Sequence[int] = ()
) -> tuple[Probabilities, dict[str, Probabilities], npt.NDArray[np.bool_]]:
    """The cascade: `scores`, `by_model` and `escalated` of `Predictions` for n faces with these sides.

    It asks no more models than it needs for each face. Models of weight 0 are never asked after the first. `before` is
    that of `Ensemble.predict`.
    """
    everybody = np.arange(len(sides))
    asked_at = everybody.copy()  # the face whose answers of the later models count, which may be of an earlier frame
    by_model = {model.name: np.full((len(sides), len(EMOTIONS)), np.nan, np.float32) for model in manifest.models}

    def ask_about(names: Sequence[str], rows: Rows) -> None:
        sources = np.unique(asked_at[rows])
        for name, predicted in ask(names, sources).items() if names else ():
            by_model[name][sources] = predicted
            by_model[name][rows] = by_model[name][asked_at[rows]]

    def known(names: Sequence[str], rows: Rows) -> dict[str, Probabilities]:
        return {name: by_model[name][rows] for name in names}

    ask_about([adaptive.first], everybody)
    scores, confident = first_model_scores(by_model[adaptive.first], manifest, adaptive, sides)
    if len(before):
        asked_at = _asked_at(by_model[adaptive.first], confident, before)
    rest = np.flatnonzero(~confident)
    asked = [adaptive.first]
    if adaptive.second is not None:
        asked.append(adaptive.second.model)
        ask_about(asked[1:], rest)
        scores[rest], agreed = both_scores(known(asked, rest), manifest, adaptive.second, sides[rest])
        rest = rest[~agreed]
    others = [model.name for model in manifest.models if model.name not in asked and model.weight > 0]
    ask_about(others, rest)
    combined = combine(known([*asked, *others], rest), weights_of([*asked, *others], manifest))
    temperature = adaptive.rest_temperature or manifest.temperature
    scores[rest] = calibrate(combined, temperatures(temperature, manifest, sides[rest]))
    return scores, by_model, ~confident & (asked_at == everybody)


def _asked_at(first: Probabilities, confident: npt.NDArray[np.bool_], before: Sequence[int]) -> Rows:
    """For each face, the row whose answers of the later models count: its own, or an earlier one of the same face.

    An earlier row counts while the first model sees the same as there. The comparison is with the row that was asked
    last, not with the frame before, so a slow change is not missed.
    """
    asked_at = np.arange(len(first))
    last = asked_at.copy()  # for each face, the row of the same face that was asked last; -1 if none was
    for i, earlier in enumerate(before):
        known = last[earlier] if earlier >= 0 else -1
        if not confident[i]:
            if known >= 0 and np.abs(first[i] - first[known]).sum() / 2 <= SAME_SHARE:
                asked_at[i] = known
            known = asked_at[i]
        last[i] = known
    return asked_at


def ensemble_scores(by_model: Mapping[str, Probabilities], manifest: Manifest, sides: Sides) -> Probabilities:
    """The scores of the full ensemble, [n, 7], from the probabilities of all models of the manifest with a weight."""
    combined = combine(by_model, weights_of(by_model, manifest))
    return calibrate(combined, temperatures(manifest.temperature, manifest, sides))


def first_model_scores(
    probabilities: Probabilities, manifest: Manifest, adaptive: Adaptive, sides: Sides
) -> tuple[Probabilities, npt.NDArray[np.bool_]]:
    """The calibrated scores of the first model, [n, 7], and whether its confidence is high enough, [n]."""
    scores = calibrate(probabilities, temperatures(adaptive.temperature, manifest, sides))
    return scores, scores.max(axis=1, initial=0) >= np.float32(adaptive.threshold)


def both_scores(
    by_model: Mapping[str, Probabilities], manifest: Manifest, second: Second, sides: Sides
) -> tuple[Probabilities, npt.NDArray[np.bool_]]:
    """The calibrated average of the first two models, [n, 7], and whether they predict the same emotion, [n]."""
    one, other = (rows.argmax(axis=1) for rows in by_model.values())
    combined = combine(by_model, weights_of(by_model, manifest))
    return calibrate(combined, temperatures(second.temperature, manifest, sides)), one == other


def temperatures(temperature: float, manifest: Manifest, sides: Sides) -> npt.NDArray[np.float64]:
    """The temperature for crops with these sides, [n]."""
    if manifest.small_faces is None:
        return np.full(len(sides), temperature)
    return temperature * np.asarray(size_factors(manifest.small_faces, sides), np.float64)


def size_factors(small: SmallFaces, sides: Sides) -> npt.NDArray[np.float64]:
    """The factor of the temperature for crops with these sides, [n]; 1 for large ones."""
    return np.asarray((small.side / np.clip(sides, 1, small.side)) ** small.exponent, np.float64)


def weights_of(names: Iterable[str], manifest: Manifest) -> dict[str, float]:
    """The weights of these models; equal ones if all of them have weight 0."""
    weights = {model.name: model.weight for model in manifest.models if model.name in set(names)}
    return weights if any(weights.values()) else dict.fromkeys(weights, 1.0)


def softmax(logits: npt.NDArray[np.float32]) -> Probabilities:
    """The probabilities [n, 7] of logits [n, 7] of any size."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def combine(by_model: Mapping[str, Probabilities], weights: Mapping[str, float]) -> Probabilities:
    """The weighted average of the models' probabilities, [n, 7]. The weights may have any sum above zero."""
    total = sum(weights.values())
    weighted = sum(weights[name] / total * by_model[name].astype(np.float64) for name in sorted(by_model))
    return np.asarray(weighted, np.float32)


def calibrate(probabilities: Probabilities, temperature: float | npt.NDArray[np.float64]) -> Probabilities:
    """Flatten (`temperature` above 1) or sharpen (below 1) probabilities, [n, 7]. The most likely emotion stays.

    `temperature` is one for all rows, or one for each, [n].
    """
    logits = np.log(np.maximum(probabilities, SMALLEST))
    return softmax(logits / np.reshape(temperature, (-1, 1)))


def _scaled(crops: Sequence[Image], size: int, colour: Colour) -> Pixels:
    """Crops of any size as one array, [n, size, size, channels]."""
    pixels = np.empty((len(crops), size, size, CHANNELS[colour]), np.uint8)
    for row, crop in zip(pixels, crops, strict=True):
        row[:] = network_pixels(crop, size, colour)
    return pixels


class _LoadedModel:
    """One model of the manifest, with an interpreter for full batches and one for single faces."""

    def __init__(self, model: Model, folder: Path, threads: int) -> None:
        path = folder / model.file
        self.name, self._input = model.name, model.input
        shape = (model.input.size, model.input.size, CHANNELS[model.input.colour])
        try:
            self._batch, self._one = TFLiteModel(path, BATCH, threads), TFLiteModel(path, 1, threads)
            (logits,) = self._one(np.zeros((1, *shape), np.float32))
        except (ValueError, RuntimeError) as failure:
            reason = str(failure).splitlines()[0]
            raise ManifestError(f"{path}: not a model that takes {shape} ({reason}); correct the manifest") from None
        if logits.shape != (1, len(EMOTIONS)):
            raise ManifestError(f"{path}: {logits.shape[1:]} instead of {len(EMOTIONS)} logits; train it on all labels")

    def logits(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """[n, size, size, channels] -> [n, 7]."""
        whole = len(pixels) - len(pixels) % BATCH
        parts = [self._batch(self._normalized(pixels[i : i + BATCH]))[0] for i in range(0, whole, BATCH)]
        parts += [self._one(self._normalized(pixels[i : i + 1]))[0] for i in range(whole, len(pixels))]
        return np.concatenate(parts) if parts else np.empty((0, len(EMOTIONS)), np.float32)

    def _normalized(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """The normalized pixels of one batch. To normalize a whole chunk at once would take too much memory."""
        normalized = pixels.astype(np.float32)
        normalized -= self._input.mean
        normalized /= self._input.std
        return normalized
