"""Which emotion a face displays: the networks of the manifest, and what they say together.

Networks give logits. Their probabilities are averaged with the manifest's weights (the study, 4.4), and the average is
calibrated by one temperature (Guo et al., On Calibration of Modern Neural Networks, 2017, section 4.2).

The adaptive ensemble is a cascade of two stages (Wang et al., IDK Cascades, 2018): one cheap network answers where its
calibrated confidence is high enough, and all of them together where it is not.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from worker.contract.messages import EMOTIONS
from worker.interpreter import Network
from worker.manifest import Adaptive, EnsembleMode, Manifest, ManifestError, Model, load_manifest
from worker.metrics import INFERENCE_SECONDS
from worker.preprocessing import CHANNELS, Colour, Image, network_pixels

Probabilities = npt.NDArray[np.float32]
"""[n, 7], rows sum to one, columns in the order of EMOTIONS."""

Pixels = npt.NDArray[np.uint8]
"""[n, size, size, channels], faces as a network sees them, before mean and standard deviation."""

View = tuple[int, Colour]
"""Size and colour: networks that agree on both look at the same pixels."""

# Faces an interpreter takes at once. Milliseconds a face alone, in fours and in eights: MobileNetV2 int8 at 96 px 0.57,
# 0.49, 0.48; InceptionV3 dynamic at 96 px 1.52, 1.08, 1.08; ResNet50V2 int8 at 64 px 1.70, 1.15, 1.08; in sixteens
# nothing more worth having (processor time, one core, November 2026). What is left of the last eight goes alone:
# filling up would often cost more than it saves.
BATCH = 8

SMALLEST = 1e-12
"""What a probability of 0 counts as where its logarithm is needed."""


@dataclass(frozen=True)
class Readings:
    """What the networks made of n faces: `scores` is the calibrated ensemble, `by_model` each network alone.

    `escalated` [n] tells the faces that the adaptive ensemble asked all networks about; the full one has none. A row
    of `by_model` is NaN where that network was not asked about that face.
    """

    scores: Probabilities
    by_model: dict[str, Probabilities]
    escalated: npt.NDArray[np.bool_]

    def labels(self) -> list[dict[str, str]]:
        """For every face, which emotion each network that was asked about it thinks likeliest."""
        labels: list[dict[str, str]] = [{} for _ in range(len(self.scores))]
        for name, rows in self.by_model.items():
            for i in np.flatnonzero(~np.isnan(rows[:, 0])):
                labels[i][name] = EMOTIONS[int(rows[i].argmax())]
        return labels


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
        seen: dict[View, Pixels] = {}
        first = self._ask([m for m in self.manifest.models if m.name == adaptive.first], crops, seen)
        scores, sure = first_alone(first[adaptive.first], adaptive)
        unsure = np.flatnonzero(~sure)
        others = self._ask(
            [m for m in self.manifest.models if m.name != adaptive.first],
            [crops[i] for i in unsure],
            {view: pixels[unsure] for view, pixels in seen.items()},
        )
        scores[unsure] = together({adaptive.first: first[adaptive.first][unsure], **others}, self.manifest)
        for name, answers in others.items():
            first[name] = np.full_like(scores, np.nan)
            first[name][unsure] = answers
        return Readings(scores, {model.name: first[model.name] for model in self.manifest.models}, ~sure)

    def _ask(
        self, models: Sequence[Model], crops: Sequence[Image], seen: dict[View, Pixels]
    ) -> dict[str, Probabilities]:
        """What each of `models` makes of all `crops`. `seen` keeps the crops as a network sees them, for the next."""
        by_model = {}
        for model in models:
            view = model.input.size, model.input.colour
            if view not in seen:
                seen[view] = _scaled(crops, *view)
            with INFERENCE_SECONDS.labels(model.name).time() if len(crops) else nullcontext():
                by_model[model.name] = softmax(self._networks[model.name].logits(seen[view]))
        return by_model


def together(by_model: Mapping[str, Probabilities], manifest: Manifest) -> Probabilities:
    """The full ensemble's scores, [n, 7], of what every model of the manifest says."""
    combined = combine(by_model, {model.name: model.weight for model in manifest.models})
    return calibrate(combined, manifest.temperature)


def first_alone(probabilities: Probabilities, adaptive: Adaptive) -> tuple[Probabilities, npt.NDArray[np.bool_]]:
    """The first model's scores, [n, 7], of what it says, and for which faces, [n], it is sure enough of them."""
    scores = calibrate(probabilities, adaptive.temperature)
    return scores, scores.max(axis=1, initial=0) >= np.float32(adaptive.threshold)


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
    return softmax(np.log(np.maximum(probabilities, SMALLEST)) / temperature)


def _scaled(crops: Sequence[Image], size: int, colour: Colour) -> Pixels:
    """Crops of any size as one array, [n, size, size, channels]."""
    pixels = np.empty((len(crops), size, size, CHANNELS[colour]), np.uint8)
    for row, crop in zip(pixels, crops, strict=True):
        row[:] = network_pixels(crop, size, colour)
    return pixels


class _Net:
    """One network of the manifest, with an interpreter for full batches and one for what is left over."""

    def __init__(self, model: Model, folder: Path, threads: int) -> None:
        path = folder / model.file
        self.name, self._input = model.name, model.input
        shape = (model.input.size, model.input.size, CHANNELS[model.input.colour])
        try:
            self._batch, self._one = Network(path, BATCH, threads), Network(path, 1, threads)
            (logits,) = self._one(np.zeros((1, *shape), np.float32))
        except (ValueError, RuntimeError) as failure:
            reason = str(failure).splitlines()[0]
            raise ManifestError(f"{path}: not a network that takes {shape} ({reason}); correct the manifest") from None
        if logits.shape != (1, len(EMOTIONS)):
            raise ManifestError(f"{path}: gives {logits.shape[1:]}, not {len(EMOTIONS)} logits; train it on the seven")

    def logits(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """[n, size, size, channels] -> [n, 7]."""
        whole = len(pixels) - len(pixels) % BATCH
        parts = [self._batch(self._fed(pixels[i : i + BATCH]))[0] for i in range(0, whole, BATCH)]
        parts += [self._one(self._fed(pixels[i : i + 1]))[0] for i in range(whole, len(pixels))]
        return np.concatenate(parts) if parts else np.empty((0, len(EMOTIONS)), np.float32)

    def _fed(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Pixels as the network is fed them: a batch at a time, because a chunk's faces would be many floats."""
        fed = pixels.astype(np.float32)
        fed -= self._input.mean
        fed /= self._input.std
        return fed
