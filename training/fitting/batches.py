"""Batches of training pictures, in an order that a restart repeats."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from training.datasets import FaceArrays
from training.fitting.distillation import DISTILLED_SHARE, distilled_targets
from training.fitting.feature_distillation import FeatureTeacher
from training.recipe import Recipe, RunError
from worker.contract.messages import EMOTIONS


class TrainingBatches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras comes without types
    """Batches of pixels [n, size, size, channels] uint8, targets [n, 7] float32 and weights [n] float32.

    With a teacher, a batch is ((pixels, teacher's pixels, weights), targets, label weights). `Taught` takes the first
    part; the label weights scale the labels' part of the loss.

    The order and the pairs of mixup follow from the recipe's seed and the epoch. Keras' own shuffling of arrays would
    differ after a restart.
    """

    def __init__(self, faces: FaceArrays, recipe: Recipe, teacher: FeatureTeacher | None = None) -> None:
        super().__init__()
        self.recipe = recipe
        self._faces = faces
        self._pixels = [faces.pixels] if teacher is None else [faces.pixels, teacher.pixels]
        if len({len(pixels) for pixels in self._pixels}) > 1:
            raise RunError("the training pictures changed while they were read; repeat the command")
        share = np.float32(recipe.vote_share)
        self._targets = distilled_targets(recipe, (1 - share) * one_hot(faces) + share * faces.votes, faces)
        self.shuffle(0)

    @property
    def priors(self) -> npt.NDArray[np.float32]:
        """The share of each emotion in all targets, [7]."""
        return np.asarray(np.average(self._targets, axis=0, weights=self._faces.weights), np.float32)

    def shuffle(self, epoch: int) -> None:
        """Put the pictures into the order of `epoch`."""
        self._epoch = epoch
        self._order = np.random.default_rng((self.recipe.seed, epoch)).permutation(len(self._faces.labels))

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self.recipe.batch)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        chosen = self._order[index * self.recipe.batch :][: self.recipe.batch]
        arrays: list[npt.NDArray[Any]] = [*self._pixels, self._targets, self._faces.weights]
        parts = [array[chosen] for array in arrays]
        if self.recipe.mixup:
            random = np.random.default_rng((self.recipe.seed, self._epoch, index))
            parts = mixed(parts, self.recipe.mixup, random)
        *pixels, targets, weights = parts
        if len(pixels) == 1:
            return pixels[0], targets, weights
        return (*pixels, weights), targets, np.float32(1 - DISTILLED_SHARE) * weights


def one_hot(faces: FaceArrays) -> npt.NDArray[np.float32]:
    """The labels as targets, [n, 7]."""
    return np.eye(len(EMOTIONS), dtype=np.float32)[faces.labels]


def mixed(parts: Sequence[npt.NDArray[Any]], alpha: float, random: np.random.Generator) -> list[npt.NDArray[Any]]:
    """Mixup: each picture of a batch mixed with another one of it; all parts of a batch, [n, ...], in the same shares.

    The share of the picture itself is drawn from Beta(alpha, alpha), for each picture anew. Pixels stay uint8. Zhang et
    al., mixup: Beyond Empirical Risk Minimization, 2018, section 2.
    """
    n = len(parts[0])
    others = random.permutation(n)
    share = random.beta(alpha, alpha, n).astype(np.float32)

    def mix(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        shares = share.reshape(-1, *[1] * (values.ndim - 1))
        made = shares * values + (1 - shares) * values[others]
        return np.asarray(np.rint(made) if values.dtype == np.uint8 else made, values.dtype)

    return [mix(values) for values in parts]
