"""The architectures, in Keras 3 on any backend: standardized pixels [n, size, size, channels] -> logits [n, 7].

Three are served. MobileNetV1 only teaches them: weights trained on faces were available for this architecture alone.

Logits, not probabilities: the worker applies softmax in float, and calibrates after the average over the networks.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras

from training.recipe import ModelName, Tune
from worker.contract.messages import EMOTIONS

# Keras' MobileNetV2 updates its batch statistics with momentum 0.999, too slowly for a fine-tuning of a few epochs.
BATCH_NORM_MOMENTUM = 0.99

# The study (4.1) names three fully connected layers with dropout and batch normalization, but not their sizes.
HEAD_UNITS = (512, 256, 128)
HEAD_DROPOUT = 0.3

# Keras' networks without our heads; each takes input_shape, include_top and weights.
APPLICATIONS: dict[ModelName, Callable[..., keras.Model]] = {
    "mobilenetv2": keras.applications.MobileNetV2,
    "resnet50v2": keras.applications.ResNet50V2,
    "inceptionv3": keras.applications.InceptionV3,
    "mobilenetv1": keras.applications.MobileNet,
}


def _network(model: ModelName, size: int, channels: int) -> keras.Model:
    base = APPLICATIONS[model](input_shape=(size, size, channels), include_top=False, weights=None)
    if model == "inceptionv3":
        # Keras builds its batch norms without scales, but folded kernels need them (networks.imagenet).
        base = keras.models.clone_model(base, clone_function=_with_scale)
    x = _study_head(base.output) if model == "mobilenetv2" else _plain_head(base.output)
    logits = keras.layers.Dense(len(EMOTIONS), dtype="float32", name="logits")(x)
    network = keras.Model(base.input, logits, name=model)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = BATCH_NORM_MOMENTUM
    return network


NETWORKS: dict[ModelName, Callable[[int, int], keras.Model]] = {
    model: partial(_network, model) for model in APPLICATIONS
}
"""Each network with random weights, made from the side of its input in pixels and the number of channels."""


def choose_tuned(network: keras.Model, tune: Tune) -> None:
    """Let only the layers learn that a recipe's `tune` names; a number counts the last layers before the head.

    Batch norms that do not learn keep their statistics, too. Raises ValueError if the network has fewer layers.
    """
    base = [layer for layer in network.layers if not _is_head(layer)]
    learning = tune if isinstance(tune, int) else {"all": len(base), "head": 0}[tune]
    if not 0 <= learning <= len(base):
        raise ValueError(f"{network.name} has {len(base)} layers before its head, not {tune}")
    for i, layer in enumerate(base):
        layer.trainable = i >= len(base) - learning


def _is_head(layer: keras.Layer) -> bool:
    return layer.name == "logits" or str(layer.name).startswith("head_")


def _study_head(features: Any) -> Any:
    """The study's head of MobileNetV2 (4.1, figure 3)."""
    x = keras.layers.GlobalAveragePooling2D(name="head_pool", keepdims=True)(features)
    x = keras.layers.Flatten(name="head_flatten")(x)
    for i, units in enumerate(HEAD_UNITS, start=1):
        x = keras.layers.Dense(units, activation="relu", name=f"head_dense_{i}")(x)
        x = keras.layers.Dropout(HEAD_DROPOUT, name=f"head_dropout_{i}")(x)
        x = keras.layers.BatchNormalization(name=f"head_norm_{i}")(x)
    return x


def _plain_head(features: Any) -> Any:
    """Average and dropout. More layers brought ResNet50V2 and InceptionV3 nothing (the study, 6.3)."""
    x = keras.layers.GlobalAveragePooling2D(name="head_pool")(features)
    return keras.layers.Dropout(HEAD_DROPOUT, name="head_dropout")(x)


def _with_scale(layer: keras.Layer) -> keras.Layer:
    config = layer.get_config()
    if isinstance(layer, keras.layers.BatchNormalization):
        config["scale"] = True
    return type(layer).from_config(config)
