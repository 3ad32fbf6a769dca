"""Which emotion a face displays: the networks of the manifest, and what they say together.

Networks give logits. Their probabilities are averaged with the manifest's weights (the study, 4.4), and the average is
calibrated by one temperature (Guo et al., On Calibration of Modern Neural Networks, 2017, section 4.2).

The adaptive ensemble is a cascade of two stages (Wang et al., IDK Cascades, 2018): one cheap network answers where its
calibrated confidence is high enough, and all of them together where it is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from worker.contract.messages import EMOTIONS
from worker.interpreter import Network
from worker.manifest import Adaptive, EnsembleMode, Input, Manifest, ManifestError, Model, load_manifest
from worker.preprocessing import CHANNELS, Image, network_pixels

Probabilities = npt.NDArray[np.float32]
"""[n, 7], rows sum to one, columns in the order of EMOTIONS."""

Fed = npt.NDArray[np.float32]
"""[n, size, size, channels], what a network is given."""

# Faces an interpreter takes at once. An int8 MobileNetV2 of 96 px takes 0.67 ms a face alone, 0.58 in fours and 0.56 in
# eights (one core, November 2026). What is left of the last four goes alone: filling up would cost more than it saves.
BATCH = 4

_SMALLEST = 1e-12  # a probability that is exactly 0 has no logarithm


@dataclass(frozen=True)
class Readings:
    """What the networks made of n faces: `scores` is the calibrated ensemble, `by_model` each network alone.

    `escalated` [n] tells the faces that the adaptive ensemble asked all networks about; the full one has none. A row
    of `by_model` is NaN where that network was not asked about that face.
    """

    scores: Probabilities
    by_model: dict[str, Probabilities]
    escalated: npt.NDArray[np.bool_]

    def asked(self, face: int) -> dict[str, Probabilities]:
        """What each network that was asked about this face says of it, [7]."""
        return {name: rows[face] for name, rows in self.by_model.items() if not np.isnan(rows[face, 0])}


class Ensemble:
    """The networks of one manifest, loaded and ready. Make one a process and keep it."""

    def __init__(self, manifest: Manifest, folder: Path, threads: int = 1, mode: EnsembleMode = "full") -> None:
        """Load the files of `manifest` out of `folder`; ManifestError where one is no network of seven logits.

        The mode "adaptive" takes a manifest that has a threshold.
        """
        self.manifest = manifest
        self._adaptive = manifest.adaptive if mode == "adaptive" else None
        self._networks = {model.name: _Net(model, folder, threads) for model in manifest.models}

    @classmethod
    def load(cls, folder: Path, threads: int = 1, mode: EnsembleMode = "full") -> "Ensemble":
        """The ensemble of a folder whose files were checked against its manifest; ManifestError where one is off."""
        return cls(load_manifest(folder, mode), folder, threads, mode)

    def read(self, crops: Sequence[Image]) -> Readings:
        """Read n face crops (`preprocessing.face_crop`), [height, width, 3] each, of any size; n may be 0."""
        if self._adaptive is not None:
            return self._read_adaptively(crops, self._adaptive)
        by_model = self._ask(self.manifest.models, crops, {})
        return Readings(together(by_model, self.manifest), by_model, np.zeros(len(crops), bool))

    def _read_adaptively(self, crops: Sequence[Image], adaptive: Adaptive) -> Readings:
        fed: dict[Input, Fed] = {}
        first = self._ask([m for m in self.manifest.models if m.name == adaptive.first], crops, fed)
        scores, sure = first_alone(first[adaptive.first], adaptive)
        unsure = np.flatnonzero(~sure)
        others = self._ask(
            [m for m in self.manifest.models if m.name != adaptive.first],
            [crops[i] for i in unsure],
            {spec: pixels[unsure] for spec, pixels in fed.items()},
        )
        scores[unsure] = together({adaptive.first: first[adaptive.first][unsure], **others}, self.manifest)
        for name, answers in others.items():
            first[name] = np.full_like(scores, np.nan)
            first[name][unsure] = answers
        return Readings(scores, {model.name: first[model.name] for model in self.manifest.models}, ~sure)

    def _ask(self, models: Sequence[Model], crops: Sequence[Image], fed: dict[Input, Fed]) -> dict[str, Probabilities]:
        """What each of `models` makes of all `crops`. `fed` keeps the crops as a network is fed them, for the next."""
        by_model = {}
        for model in models:
            if model.input not in fed:
                fed[model.input] = network_input(crops, model.input)
            by_model[model.name] = softmax(self._networks[model.name].logits(fed[model.input]))
        return by_model


def together(by_model: Mapping[str, Probabilities], manifest: Manifest) -> Probabilities:
    """The full ensemble's scores, [n, 7], of what every model of the manifest says."""
    combined = combine(by_model, {model.name: model.weight for model in manifest.models})
    return calibrate(combined, manifest.temperature)


def first_alone(probabilities: Probabilities, adaptive: Adaptive) -> tuple[Probabilities, npt.NDArray[np.bool_]]:
    """The first model's scores, [n, 7], of what it says, and for which faces, [n], it is sure enough of them."""
    scores = calibrate(probabilities, adaptive.temperature)
    return scores, scores.max(axis=1, initial=0) >= np.float32(adaptive.threshold)


def network_input(crops: Sequence[Image], spec: Input) -> Fed:
    """Crops as a network is fed them: [n, size, size, channels], (pixels - mean) / std."""
    fed = np.empty((len(crops), spec.size, spec.size, CHANNELS[spec.colour]), np.float32)
    for row, crop in zip(fed, crops, strict=True):
        row[:] = network_pixels(crop, spec.size, spec.colour)
    fed -= spec.mean
    fed /= spec.std
    return fed


def softmax(logits: npt.NDArray[np.float32]) -> Probabilities:
    """[n, 7] -> [n, 7]: probabilities of logits of any size."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def combine(by_model: Mapping[str, Probabilities], weights: Mapping[str, float]) -> Probabilities:
    """The weighted average of what models say, [n, 7]; weights need not sum to one, but not to nothing either."""
    total = sum(weights.values())
    weighted = sum(weights[name] / total * by_model[name].astype(np.float64) for name in sorted(by_model))
    return np.asarray(weighted, np.float32)


def calibrate(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Flatten (above 1) or sharpen (below 1) probabilities, [n, 7]; which emotion comes first does not change."""
    return softmax(np.log(np.maximum(probabilities, _SMALLEST)) / temperature)


class _Net:
    """One network of the manifest, with an interpreter for full batches and one for what is left over."""

    def __init__(self, model: Model, folder: Path, threads: int) -> None:
        path = folder / model.file
        shape = (model.input.size, model.input.size, CHANNELS[model.input.colour])
        try:
            self._batch, self._one = Network(path, BATCH, threads), Network(path, 1, threads)
            (logits,) = self._one(np.zeros((1, *shape), np.float32))
        except (ValueError, RuntimeError) as failure:
            reason = str(failure).splitlines()[0]
            raise ManifestError(f"{path}: not a network that takes {shape} ({reason}); correct the manifest") from None
        if logits.shape != (1, len(EMOTIONS)):
            raise ManifestError(f"{path}: gives {logits.shape[1:]}, not {len(EMOTIONS)} logits; train it on the seven")

    def logits(self, fed: Fed) -> npt.NDArray[np.float32]:
        """[n, size, size, channels] -> [n, 7]."""
        whole = len(fed) - len(fed) % BATCH
        parts = [self._batch(fed[start : start + BATCH])[0] for start in range(0, whole, BATCH)]
        parts += [self._one(fed[i : i + 1])[0] for i in range(whole, len(fed))]
        return np.concatenate(parts) if parts else np.empty((0, len(EMOTIONS)), np.float32)
