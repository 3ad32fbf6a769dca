"""The networks, in Keras 3 on any backend: pixels normalised to [-1, 1] go in, seven logits come out.

Logits, not probabilities: softmax runs after the average over models and its temperature, in float, in the worker.
"""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from training.recipe import ModelName
from worker.contract.messages import EMOTIONS

# Keras' MobileNetV2 keeps batch statistics with momentum 0.999: slower than a fine-tuning of a few epochs.
BATCH_NORM_MOMENTUM = 0.99

# The study (4.1) names three fully connected layers with dropout and batch normalization, but not their sizes.
HEAD_UNITS = (512, 256, 128)
HEAD_DROPOUT = 0.3

# Pictures whose every activation is in memory at once: 5 MB each at 96 pixels.
STATISTICS_BLOCK = 32


def mobilenetv2(size: int, channels: int) -> keras.Model:
    """MobileNetV2 1.0 with the study's head (4.1, figure 3): [n, size, size, channels] -> [n, 7] logits."""
    base = keras.applications.MobileNetV2(input_shape=(size, size, channels), include_top=False, weights=None)
    x = keras.layers.GlobalAveragePooling2D(name="head_pool", keepdims=True)(base.output)
    x = keras.layers.Flatten(name="head_flatten")(x)
    for i, units in enumerate(HEAD_UNITS, start=1):
        x = keras.layers.Dense(units, activation="relu", name=f"head_dense_{i}")(x)
        x = keras.layers.Dropout(HEAD_DROPOUT, name=f"head_dropout_{i}")(x)
        x = keras.layers.BatchNormalization(name=f"head_norm_{i}")(x)
    logits = keras.layers.Dense(len(EMOTIONS), dtype="float32", name="logits")(x)
    network = keras.Model(base.input, logits, name="mobilenetv2")
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = BATCH_NORM_MOMENTUM
    return network


NETWORKS: dict[ModelName, Callable[[int, int], keras.Model]] = {"mobilenetv2": mobilenetv2}


def load_folded_imagenet(network: keras.Model, path: Path, sample: npt.NDArray[np.float32]) -> int:
    """Load ImageNet kernels whose batch norm was folded away, then give batch norm its statistics back.

    `path` is an .npz of `LAYER/kernel` and `LAYER/bias` arrays. `sample` ([n, size, size, channels], normalised)
    is run through the network once: each batch norm takes the mean and variance it sees as its moving statistics,
    with gamma and beta chosen so that the function stays what it was. Otherwise training would start by dividing
    every channel by a scale that the folded kernels already have. Returns how many kernels were loaded;
    raises ValueError where none fits.
    """
    arrays = np.load(path)
    loaded = []
    for layer in network.layers:
        if f"{layer.name}/kernel" not in arrays:
            continue
        kernel = arrays[f"{layer.name}/kernel"].astype(np.float32)
        wanted = layer.weights[0].shape
        if wanted[2] == 1 and kernel.shape[2] == 3:
            kernel = kernel.sum(axis=2, keepdims=True)  # grey into three equal channels, in one
        if kernel.shape != tuple(wanted):
            raise ValueError(f"{path.name}: {layer.name} has shape {kernel.shape}, the network wants {tuple(wanted)}")
        layer.weights[0].assign(kernel)
        loaded.append((layer, arrays[f"{layer.name}/bias"].astype(np.float32)))
    if not loaded:
        raise ValueError(f"{path.name}: no layer of {network.name} in it; is it the file for another network?")

    _give_statistics_back(network, loaded, sample)
    return len(loaded)


def _give_statistics_back(
    network: keras.Model, loaded: list[tuple[keras.Layer, npt.NDArray[np.float32]]], sample: npt.NDArray[np.float32]
) -> None:
    norm_after = {id(norm.input): norm for norm in network.layers if isinstance(norm, keras.layers.BatchNormalization)}
    pairs = [(layer, norm_after[id(layer.output)], bias) for layer, bias in loaded]
    for _, norm, bias in pairs:
        norm.gamma.assign(np.ones_like(bias))
        norm.beta.assign(bias)
        norm.moving_mean.assign(np.zeros_like(bias))
        norm.moving_variance.assign(np.full_like(bias, 1 - norm.epsilon))
    statistics = _channel_statistics(keras.Model(network.input, [layer.output for layer, _, _ in pairs]), sample)
    for (_, norm, bias), (mean, variance) in zip(pairs, statistics, strict=True):
        norm.moving_mean.assign(mean)
        norm.moving_variance.assign(variance)
        norm.gamma.assign(np.sqrt(variance + norm.epsilon))
        norm.beta.assign(bias + mean)


def _channel_statistics(
    convolutions: keras.Model, sample: npt.NDArray[np.float32]
) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Mean and variance of every channel of every output over the sample, a few pictures at a time."""
    of_blocks = []
    for start in range(0, len(sample), STATISTICS_BLOCK):
        outputs = convolutions(sample[start : start + STATISTICS_BLOCK], training=False)
        values = [keras.ops.convert_to_numpy(output).astype(np.float64) for output in outputs]
        of_blocks.append([(v.mean(axis=(1, 2)), (v**2).mean(axis=(1, 2))) for v in values])
    statistics = []
    for of_output in zip(*of_blocks, strict=True):
        mean = np.concatenate([means for means, _ in of_output]).mean(axis=0)
        mean_square = np.concatenate([squares for _, squares in of_output]).mean(axis=0)
        statistics.append((mean, np.maximum(mean_square - mean**2, 0)))
    return statistics
