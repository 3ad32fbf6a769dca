"""Batches of training pictures, in an order that a restart repeats."""

import math
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from training.datasets import FaceArrays
from training.fitting.distillation import distilled_targets
from training.recipe import Recipe
from worker.contract.messages import EMOTIONS


class TrainingBatches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras comes without types
    """Batches of pixels [n, size, size, channels] uint8, targets [n, 7] float32 and weights [n] float32.

    The order and the pairs of mixup follow from the recipe's seed and the epoch. Keras' own shuffling of arrays would
    differ after a restart.
    """

    def __init__(self, faces: FaceArrays, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self._faces = faces
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

    def __getitem__(self, index: int) -> tuple[npt.NDArray[Any], ...]:
        chosen = self._order[index * self.recipe.batch :][: self.recipe.batch]
        pixels, targets, weights = self._faces.pixels[chosen], self._targets[chosen], self._faces.weights[chosen]
        if not self.recipe.mixup:
            return pixels, targets, weights
        random = np.random.default_rng((self.recipe.seed, self._epoch, index))
        return mixed(pixels, targets, weights, self.recipe.mixup, random)


def one_hot(faces: FaceArrays) -> npt.NDArray[np.float32]:
    """The labels as targets, [n, 7]."""
    return np.eye(len(EMOTIONS), dtype=np.float32)[faces.labels]


def mixed(
    pixels: npt.NDArray[np.uint8],
    targets: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
    alpha: float,
    random: np.random.Generator,
) -> tuple[npt.NDArray[Any], ...]:
    """Mixup: each picture of a batch mixed with another one of it; pixels, targets and weights in the same shares.

    The share of the picture itself is drawn from Beta(alpha, alpha), for each picture anew. Zhang et al., mixup:
    Beyond Empirical Risk Minimization, 2018, section 2.
    """
    others = random.permutation(len(pixels))
    share = random.beta(alpha, alpha, len(pixels)).astype(np.float32)

    def mix(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        shares = share.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(shares * values + (1 - shares) * values[others], np.float32)

    return np.rint(mix(pixels)).astype(np.uint8), mix(targets), mix(weights)
