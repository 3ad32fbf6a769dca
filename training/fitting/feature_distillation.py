"""Feature distillation: a network learns from a teacher that sees the same augmented picture.

The teacher may take another size and colour. The network learns its probabilities and, by a linear layer that is thrown
away, its features. Beyer et al., Knowledge Distillation: A Good Teacher is Patient and Consistent, 2022, section 3 (the
same view for both, mixup); Romero et al., FitNets: Hints for Thin Deep Nets, 2015, section 2.2 (features). Its effect:
training/CAMPAIGN.md.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from training.fitting.distillation import DISTILLED_SHARE
from training.networks.augmentation import Augment
from training.networks.saved import load_network
from training.recipe import Recipe, RunError, in_one_line
from training.run import Standardization, network_file, read_recipe, read_standardization

FEATURES_WEIGHT = 2.0
"""The weight of the features in the loss. That of the cross entropy is 1, labels and teacher together."""

FEATURES = "head_pool"
"""The layer of a network that gives its features."""

SAMPLE = 1024
"""Training pictures whose features give the mean and deviation of each feature."""


@dataclass(frozen=True)
class FeatureTeacher:
    """A fitted network, the standardization of its pixels, and the training pictures as it takes them.

    `pixels` is [n, size, size, channels] uint8, in the order of the pictures of the network that learns.
    """

    network: keras.Model
    standardization: Standardization
    pixels: npt.NDArray[np.uint8]


def read_teacher(recipe: Recipe, pixels: npt.NDArray[np.uint8] | None) -> FeatureTeacher | None:
    """The teacher of `recipe` with the pictures for it; None if the recipe has none.

    Raises RunError if its run holds no network, or one without features, and ValueError if only one of teacher and
    pictures is given.
    """
    if (recipe.teacher is None) != (pixels is None):
        raise ValueError("a teacher needs the pictures in its size, and these pictures a teacher")
    if recipe.teacher is None or pixels is None:
        return None
    run = Path(recipe.teacher)
    try:
        network = load_network(network_file(run, read_recipe(run).model))
        network.get_layer(FEATURES)
    except ValueError as failure:
        raise RunError(f"--teacher {run}: cannot teach ({in_one_line(failure)}); fit it anew") from None
    return FeatureTeacher(network, read_standardization(run), pixels)


class Taught(keras.Model):  # type: ignore[misc]  # Keras comes without types
    """A network between augmentation and logit adjustment, which learns from a teacher.

    Pixels [n, size, size, channels] -> logits [n, 7]. In a fit it takes these pixels, the same pictures for the
    teacher, and the pictures' weights [n]. It then adds the teacher's part of the loss; TrainingBatches scales the
    labels' part.
    """

    def __init__(
        self,
        network: keras.Model,
        augment: Augment,
        rescaling: keras.layers.Rescaling,
        adjust: keras.layers.Layer,
        teacher: FeatureTeacher,
    ) -> None:
        super().__init__()
        self.augment, self.rescaling, self.adjust = augment, rescaling, adjust
        self.student = _with_features(network)
        teacher.network.trainable = False
        self.teacher = _with_features(teacher.network)
        self.teacher_rescaling = rescaled(teacher.standardization)
        sample = teacher.pixels[np.random.default_rng(0).permutation(len(teacher.pixels))[:SAMPLE]]
        features = _flat(self.teacher.predict(teacher.standardization.applied(sample), verbose=0)[0])
        deviation = ops.std(features, axis=0)
        # Weights, so that a restart finds them beside the teacher's in the checkpoint.
        self._mean, self._deviation = (
            self.add_weight(features.shape[1:], trainable=False, name=name) for name in ("mean", "deviation")
        )
        self._mean.assign(ops.mean(features, axis=0))
        self._deviation.assign(ops.maximum(deviation, ops.mean(deviation) / 2 + 1e-6))
        # Computed in float32 even where the network is not.
        self.imitate = keras.layers.Dense(features.shape[-1], dtype="float32", name="imitate")
        self.imitate.build((None, self.student.outputs[0].shape[-1]))

    def call(self, given: Any, training: bool = False) -> Any:
        taught = isinstance(given, list | tuple)
        pixels, *for_teacher = self.augment(list(given[:2]) if taught else [given], training=training)
        features, logits = self.student(self.rescaling(pixels), training=training)
        if taught:
            self.add_loss(self._teachers_part(features, logits, for_teacher[0], given[2]))
        return self.adjust(logits, training=training)

    def _teachers_part(self, features: Any, logits: Any, pixels: Any, weights: Any) -> Any:
        """The teacher's part of the loss, weighted: the cross entropy, and the distance of the features.

        `pixels` are the teacher's pictures.
        """
        wanted, predicted = self.teacher(self.teacher_rescaling(pixels), training=False)
        wanted = (_flat(wanted) - self._mean) / self._deviation
        difference = ops.mean(ops.square(self.imitate(_flat(features)) - wanted), axis=1)
        logits = ops.cast(logits, "float32")
        crossed = keras.losses.categorical_crossentropy(ops.softmax(predicted), logits, from_logits=True)
        return ops.mean(weights * (DISTILLED_SHARE * crossed + FEATURES_WEIGHT * difference))


def rescaled(standardization: Standardization) -> keras.layers.Rescaling:
    """The layer that standardizes pixels."""
    return keras.layers.Rescaling(1 / standardization.std, -standardization.mean / standardization.std)


def _with_features(network: keras.Model) -> keras.Model:
    """The network with two outputs: features and logits."""
    return keras.Model(network.input, [network.get_layer(FEATURES).output, network.output])


def _flat(features: Any) -> Any:
    """Features [n, f]; MobileNetV2's are [n, 1, 1, f]."""
    return ops.reshape(ops.cast(features, "float32"), (-1, features.shape[-1]))
