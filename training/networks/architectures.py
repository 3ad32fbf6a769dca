"""The architectures, in Keras 3 on any backend: standardized pixels [n, size, size, channels] -> logits [n, 7].

Three are served. MobileNetV1 teaches them: a face network of that kind could be had, and none of the others.

Logits, not probabilities: the worker applies softmax in float, and calibrates after the average over the networks.
"""

from collections.abc import Callable
from typing import Literal

import keras

from training.recipe import ModelName
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


def mobilenetv2(size: int, channels: int) -> keras.Model:
    """MobileNetV2 1.0 with the study's head (4.1, figure 3)."""
    base = APPLICATIONS["mobilenetv2"](input_shape=(size, size, channels), include_top=False, weights=None)
    x = keras.layers.GlobalAveragePooling2D(name="head_pool", keepdims=True)(base.output)
    x = keras.layers.Flatten(name="head_flatten")(x)
    for i, units in enumerate(HEAD_UNITS, start=1):
        x = keras.layers.Dense(units, activation="relu", name=f"head_dense_{i}")(x)
        x = keras.layers.Dropout(HEAD_DROPOUT, name=f"head_dropout_{i}")(x)
        x = keras.layers.BatchNormalization(name=f"head_norm_{i}")(x)
    logits = keras.layers.Dense(len(EMOTIONS), dtype="float32", name="logits")(x)
    return _with_quicker_statistics(keras.Model(base.input, logits, name="mobilenetv2"))


def resnet50v2(size: int, channels: int) -> keras.Model:
    """ResNet50V2 (4.2, figure 4) with a plain head."""
    base = APPLICATIONS["resnet50v2"](input_shape=(size, size, channels), include_top=False, weights=None)
    return _with_plain_head(base, "resnet50v2")


def inceptionv3(size: int, channels: int) -> keras.Model:
    """InceptionV3 (4.3, figure 5) with a plain head."""
    base = APPLICATIONS["inceptionv3"](input_shape=(size, size, channels), include_top=False, weights=None)
    # Keras builds its batch norms without scales, but folded kernels need them (networks.imagenet).
    return _with_plain_head(keras.models.clone_model(base, clone_function=_with_scale), "inceptionv3")


def mobilenetv1(size: int, channels: int) -> keras.Model:
    """MobileNetV1 1.0 with a plain head."""
    base = APPLICATIONS["mobilenetv1"](input_shape=(size, size, channels), include_top=False, weights=None)
    return _with_plain_head(base, "mobilenetv1")


NETWORKS: dict[ModelName, Callable[[int, int], keras.Model]] = {
    "mobilenetv2": mobilenetv2,
    "resnet50v2": resnet50v2,
    "inceptionv3": inceptionv3,
    "mobilenetv1": mobilenetv1,
}


def choose_tuned(network: keras.Model, tune: Literal["all", "head"] | int) -> None:
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


def _with_plain_head(base: keras.Model, name: str) -> keras.Model:
    """Average, dropout, classes. More layers brought ResNet50V2 and InceptionV3 nothing (the study, 6.3)."""
    x = keras.layers.GlobalAveragePooling2D(name="head_pool")(base.output)
    x = keras.layers.Dropout(HEAD_DROPOUT, name="head_dropout")(x)
    logits = keras.layers.Dense(len(EMOTIONS), dtype="float32", name="logits")(x)
    return _with_quicker_statistics(keras.Model(base.input, logits, name=name))


def _with_scale(layer: keras.Layer) -> keras.Layer:
    config = layer.get_config()
    if isinstance(layer, keras.layers.BatchNormalization):
        config["scale"] = True
    return type(layer).from_config(config)


def _with_quicker_statistics(network: keras.Model) -> keras.Model:
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = BATCH_NORM_MOMENTUM
    return network
