"""Learning from a teacher: a finished fit, whose network sees the same changed picture in its own size and colour.

The network learns the teacher's probabilities and, by a linear layer that is thrown away, its features. Beyer et al.,
Knowledge Distillation: A Good Teacher is Patient and Consistent, 2022, section 3 (the same view for both, mixup);
Romero et al., FitNets: Hints for Thin Deep Nets, 2015, section 2.2 (features). Its effect: training/CAMPAIGN.md.
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
from training.recipe import Recipe, RunError, in_one_line
from training.run import Standardization, network_file, read_recipe, read_standardization

FEATURES_WEIGHT = 2.0
"""The weight of the features in the loss."""

FEATURES = "head_pool"
"""The layer of a network that gives its features."""

SAMPLE = 1024
"""Training pictures whose features give the mean and deviation of each feature."""


@dataclass(frozen=True)
class Teacher:
    """A fitted network, the standardization of its pixels, and the training pictures as it takes them.

    `pixels` is [n, size, size, channels] uint8, in the order of the student's pictures.
    """

    network: keras.Model
    standardization: Standardization
    pixels: npt.NDArray[np.uint8]


def read_teacher(recipe: Recipe, pixels: npt.NDArray[np.uint8]) -> Teacher:
    """The teacher of `recipe`; RunError if its run holds no network, or one without features."""
    run = Path(recipe.teacher or "")
    file = network_file(run, read_recipe(run).model)
    if not file.is_file():
        raise RunError(f"--teacher {run}: holds no network; let its `training fit` finish first")
    try:
        network = keras.models.load_model(file, compile=False)
        network.get_layer(FEATURES)
    except (OSError, ValueError) as failure:
        raise RunError(f"--teacher {run}: cannot teach ({in_one_line(failure)}); fit it anew") from None
    return Teacher(network, read_standardization(run), pixels)


class Taught(keras.Model):  # type: ignore[misc]  # Keras comes without types
    """A network between augmentation and logit adjustment, which learns from a teacher.

    Pixels [n, size, size, channels] -> logits [n, 7]. In a fit it takes a pair: these pixels, and the same pictures for
    the teacher. It then adds the teacher's part of the loss; the labels' part has the weight `LABELS_WEIGHT`.
    """

    LABELS_WEIGHT = 1 - DISTILLED_SHARE

    def __init__(
        self, network: keras.Model, augment: Augment, rescaling: keras.Layer, adjust: keras.Layer, teacher: Teacher
    ) -> None:
        super().__init__()
        self.augment, self.rescaling, self.adjust = augment, rescaling, adjust
        self.student = _with_features(network)
        teacher.network.trainable = False
        self.teacher = _with_features(teacher.network)
        self.standardization = teacher.standardization
        sample = teacher.pixels[np.random.default_rng(0).permutation(len(teacher.pixels))[:SAMPLE]]
        features = _flat(self.teacher.predict(self._for_teacher(sample), verbose=0)[0])
        deviation = ops.std(features, axis=0)
        self._mean, self._deviation = (
            ops.convert_to_numpy(values)
            for values in (ops.mean(features, axis=0), ops.maximum(deviation, ops.mean(deviation) / 2 + 1e-6))
        )
        # Computed in float32 even where the network is not.
        self.imitate = keras.layers.Dense(features.shape[-1], dtype="float32", name="imitate")
        self.imitate.build((None, self.student.outputs[0].shape[-1]))

    def call(self, pixels: Any, training: bool = False) -> Any:
        if not isinstance(pixels, list | tuple):
            logits = self.student(self.rescaling(self.augment(pixels, training=training)), training=training)[1]
            return self.adjust(logits, training=training)
        own, seen = self.augment(pixels, training=training)
        features, logits = self.student(self.rescaling(own), training=training)
        wanted, taught = self.teacher(self._for_teacher(seen), training=False)
        wanted = (_flat(wanted) - self._mean) / self._deviation
        difference = ops.mean(ops.square(self.imitate(_flat(features)) - wanted))
        imitated = keras.losses.categorical_crossentropy(
            ops.softmax(taught), ops.cast(logits, "float32"), from_logits=True
        )
        self.add_loss(DISTILLED_SHARE * ops.mean(imitated) + FEATURES_WEIGHT * difference)
        return self.adjust(logits, training=training)

    def _for_teacher(self, pixels: Any) -> Any:
        return (ops.cast(pixels, "float32") - self.standardization.mean) / self.standardization.std


def _with_features(network: keras.Model) -> keras.Model:
    """The network with two outputs: features and logits."""
    return keras.Model(network.input, [network.get_layer(FEATURES).output, network.output])


def _flat(features: Any) -> Any:
    """Features [n, f]; MobileNetV2's are [n, 1, 1, f]."""
    return ops.reshape(ops.cast(features, "float32"), (-1, features.shape[-1]))
