"""The networks, in Keras 3 on any backend: standardized pixels go in, seven logits come out.

Logits, not probabilities: softmax runs after the average over models and its temperature, in float, in the worker.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import keras
import numpy as np
import numpy.typing as npt

from training.recipe import IMAGENET, ModelName
from worker.contract.messages import EMOTIONS

# Keras' MobileNetV2 keeps batch statistics with momentum 0.999: slower than a fine-tuning of a few epochs.
BATCH_NORM_MOMENTUM = 0.99

# The study (4.1) names three fully connected layers with dropout and batch normalization, but not their sizes.
HEAD_UNITS = (512, 256, 128)
HEAD_DROPOUT = 0.3

# How many convolutions each tower of a block has, in the order of InceptionV3's graph of 2015: the one beside the
# towers, tower, tower_1, tower_2, and whether tower and tower_1 end in a fork ("mixed") of a 1x3 and a 3x1.
_INCEPTION_BLOCKS = (
    *[(1, 2, 3, 1, False)] * 3,
    (1, 3, 0, 0, False),
    *[(1, 3, 5, 1, False)] * 4,
    (0, 2, 4, 0, False),
    *[(1, 1, 2, 1, True)] * 2,
)
_INCEPTION_STEM = 5

# The end of the name of the norm that a block of ResNet50V2 begins with.
_PREACTIVATION = "_preact_bn"

# Pictures whose every activation is in memory at once: 5 MB each at 96 pixels.
STATISTICS_BLOCK = 32


# What the three are built on; each takes input_shape, include_top and weights.
APPLICATIONS: dict[ModelName, Callable[..., keras.Model]] = {
    "mobilenetv2": keras.applications.MobileNetV2,
    "resnet50v2": keras.applications.ResNet50V2,
    "inceptionv3": keras.applications.InceptionV3,
}


def mobilenetv2(size: int, channels: int) -> keras.Model:
    """MobileNetV2 1.0 with the study's head (4.1, figure 3): [n, size, size, channels] -> [n, 7] logits."""
    base = APPLICATIONS["mobilenetv2"](input_shape=(size, size, channels), include_top=False, weights=None)
    x = keras.layers.GlobalAveragePooling2D(name="head_pool", keepdims=True)(base.output)
    x = keras.layers.Flatten(name="head_flatten")(x)
    for i, units in enumerate(HEAD_UNITS, start=1):
        x = keras.layers.Dense(units, activation="relu", name=f"head_dense_{i}")(x)
        x = keras.layers.Dropout(HEAD_DROPOUT, name=f"head_dropout_{i}")(x)
        x = keras.layers.BatchNormalization(name=f"head_norm_{i}")(x)
    logits = keras.layers.Dense(len(EMOTIONS), dtype="float32", name="logits")(x)
    network = keras.Model(base.input, logits, name="mobilenetv2")
    return _with_quicker_statistics(network)


def resnet50v2(size: int, channels: int) -> keras.Model:
    """ResNet50V2 (4.2, figure 4) with a plain head: [n, size, size, channels] -> [n, 7] logits."""
    base = APPLICATIONS["resnet50v2"](input_shape=(size, size, channels), include_top=False, weights=None)
    return _with_plain_head(base, "resnet50v2")


def inceptionv3(size: int, channels: int) -> keras.Model:
    """InceptionV3 (4.3, figure 5) with a plain head: [n, size, size, channels] -> [n, 7] logits."""
    base = APPLICATIONS["inceptionv3"](input_shape=(size, size, channels), include_top=False, weights=None)
    # Keras leaves the scales of its batch norms out; without them folded kernels cannot get their statistics back.
    return _with_plain_head(keras.models.clone_model(base, clone_function=_with_scale), "inceptionv3")


NETWORKS: dict[ModelName, Callable[[int, int], keras.Model]] = {
    "mobilenetv2": mobilenetv2,
    "resnet50v2": resnet50v2,
    "inceptionv3": inceptionv3,
}


def choose_tuned(network: keras.Model, tune: Literal["all", "head"] | int) -> None:
    """Let only those layers learn that a recipe's `tune` says; a number counts the last layers before the head.

    Batch norms that do not learn keep their statistics, too. Raises ValueError where there are not so many layers.
    """
    base = [layer for layer in network.layers if not _is_head(layer)]
    learning = tune if isinstance(tune, int) else {"all": len(base), "head": 0}[tune]
    if not 0 <= learning <= len(base):
        raise ValueError(f"{network.name} has {len(base)} layers before its head, not {tune}")
    for i, layer in enumerate(base):
        layer.trainable = i >= len(base) - learning


def _is_head(layer: keras.Layer) -> bool:
    return layer.name == "logits" or str(layer.name).startswith("head_")


def load_imagenet(network: keras.Model) -> None:
    """Load the ImageNet weights that Keras downloads, into all but the head.

    Raises OSError where they cannot be had.
    """
    _, size, _, _ = network.input.shape
    try:
        pretrained = APPLICATIONS[network.name](input_shape=(size, size, 3), include_top=False, weights=IMAGENET)
    except Exception as failure:  # Keras raises no narrower one where a download fails
        raise OSError(failure) from None
    copy_base(pretrained, network)


def copy_base(base: keras.Model, network: keras.Model) -> None:
    """Copy the weights of a colour network without head into `network`, which was built on its like.

    A grey network's first kernel becomes the sum over colours, so that it sees what three equal channels would show.
    """
    for source, target in zip(base.layers, network.layers, strict=False):  # beyond the base lies the head
        arrays = [keras.ops.convert_to_numpy(weight) for weight in source.weights]
        if len(arrays) < len(target.weights):  # InceptionV3's batch norms come without scale
            arrays.insert(0, np.ones_like(arrays[0]))
        for weight, array in zip(target.weights, arrays, strict=True):
            weight.assign(_for_channels_of(weight, array))


def _for_channels_of(weight: keras.Variable, kernel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """`kernel`, summed over colours where `weight` is for grey, which stands for three equal channels."""
    if kernel.ndim == 4 and kernel.shape[2] == 3 and weight.shape[2] == 1:
        return np.asarray(kernel.sum(axis=2, keepdims=True), np.float32)
    return kernel


def _with_plain_head(base: keras.Model, name: str) -> keras.Model:
    """Average, dropout, classes: the layers between brought these two nothing for their cost (the study, 6.3)."""
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


class Affine(NamedTuple):
    """A batch norm and what it has to do: multiply each channel by its factor, then add its shift, both [channels]."""

    norm: keras.layers.BatchNormalization
    factor: npt.NDArray[np.float32]
    shift: npt.NDArray[np.float32]


def load_folded_imagenet(network: keras.Model, path: Path, sample: npt.NDArray[np.float32]) -> int:
    """Load ImageNet kernels whose batch norm was folded away, then give batch norm its statistics back.

    `path` is an .npz of `LAYER/kernel` and `LAYER/bias` arrays. A layer that has a bias of its own takes the array;
    otherwise the batch norm after the layer does. A ResNet50V2 block normalizes its input first, a folded block does
    not: that norm starts as the identity. `sample` ([n, size, size, channels], normalised) is run through the network
    once: each of these batch norms takes the mean and variance it sees as its moving statistics, with gamma and beta
    chosen so that the function stays the same. Otherwise training would start by dividing every channel by a scale
    that the folded kernels already have. Returns the number of loaded kernels; raises ValueError where none fits.
    """
    arrays = np.load(path)
    names = _inception_names(network) if network.name == "inceptionv3" else {}
    norms = norm_of_tensor(network)
    loaded = 0
    folded: list[Affine] = []
    for layer in network.layers:
        name = names.get(layer.name, layer.name)
        if f"{name}/kernel" not in arrays:
            continue
        wanted = layer.weights[0].shape
        kernel = _for_channels_of(layer.weights[0], arrays[f"{name}/kernel"].astype(np.float32))
        if kernel.shape != tuple(wanted):
            raise ValueError(f"{path.name}: {name} has shape {kernel.shape}, the network wants {tuple(wanted)}")
        layer.weights[0].assign(kernel)
        loaded += 1
        bias = arrays[f"{name}/bias"].astype(np.float32)
        if len(layer.weights) > 1:
            layer.weights[1].assign(bias)
        else:
            folded.append(Affine(norms[id(layer.output)], np.ones_like(bias), bias))
    if not loaded:
        raise ValueError(f"{path.name}: no layer of {network.name} in it; is it the file for another network?")

    for layer in network.layers:
        block = str(layer.name).removesuffix(_PREACTIVATION)
        if block != layer.name and f"{block}_1_conv/kernel" in arrays:
            nothing = np.zeros(layer.beta.shape, np.float32)
            folded.append(Affine(layer, np.ones_like(nothing), nothing))
    give_statistics_back(network, folded, sample)
    return loaded


def norm_of_tensor(network: keras.Model) -> dict[int, keras.layers.BatchNormalization]:
    """The batch norm that reads each tensor, by the tensor's id."""
    return {id(norm.input): norm for norm in network.layers if isinstance(norm, keras.layers.BatchNormalization)}


def _inception_names(network: keras.Model) -> dict[str, str]:
    """What the graph of 2015 calls each of Keras' convolutions, which Keras numbers in the order of making."""
    made = [layer.name for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    made.sort(key=lambda name: int("0" + name.removeprefix("conv2d").removeprefix("_")))
    return dict(zip(made, _inception_graph(), strict=True))


def _inception_graph() -> Iterator[str]:
    yield from _numbered("conv", _INCEPTION_STEM)
    for i, (beside, *towers, forked) in enumerate(_INCEPTION_BLOCKS):
        block = "mixed" if i == 0 else f"mixed_{i}"
        yield from _numbered(f"{block}_conv", beside)
        for tower, (name, count) in enumerate(zip(("tower", "tower_1", "tower_2"), towers, strict=True)):
            yield from _numbered(f"{block}_{name}_conv", count)
            if forked and tower < 2:
                yield from _numbered(f"{block}_{name}_mixed_conv", 2)


def _numbered(name: str, count: int) -> list[str]:
    return [name, *(f"{name}_{i}" for i in range(1, count))][:count]


def give_statistics_back(network: keras.Model, affine: list[Affine], sample: npt.NDArray[np.float32]) -> None:
    """Give each norm the statistics of the sample [n, size, size, channels]; it applies its factor and shift alone."""
    for norm, factor, shift in affine:
        norm.gamma.assign(factor)
        norm.beta.assign(shift)
        norm.moving_mean.assign(np.zeros_like(shift))
        norm.moving_variance.assign(np.full_like(shift, 1 - norm.epsilon))
    statistics = _channel_statistics(keras.Model(network.input, [norm.input for norm, _, _ in affine]), sample)
    for (norm, factor, shift), (mean, variance) in zip(affine, statistics, strict=True):
        norm.moving_mean.assign(mean)
        norm.moving_variance.assign(variance)
        norm.gamma.assign(factor * np.sqrt(variance + norm.epsilon))
        norm.beta.assign(shift + factor * mean)


def _channel_statistics(
    given: keras.Model, sample: npt.NDArray[np.float32]
) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Mean and variance of every channel of every output over the sample, a few pictures at a time."""
    of_blocks = []
    for start in range(0, len(sample), STATISTICS_BLOCK):
        outputs = given(sample[start : start + STATISTICS_BLOCK], training=False)
        values = [keras.ops.convert_to_numpy(output).astype(np.float64) for output in outputs]
        spatial = [tuple(range(1, v.ndim - 1)) for v in values]
        of_blocks.append([(v.mean(axis=a), (v**2).mean(axis=a)) for v, a in zip(values, spatial, strict=True)])
    statistics = []
    for of_output in zip(*of_blocks, strict=True):
        mean = np.concatenate([means for means, _ in of_output]).mean(axis=0)
        mean_square = np.concatenate([squares for _, squares in of_output]).mean(axis=0)
        statistics.append((mean, np.maximum(mean_square - mean**2, 0)))
    return statistics
