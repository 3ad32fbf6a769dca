"""Giving batch norms the statistics of a sample, while the function of the network stays the same."""

from typing import NamedTuple

import keras
import numpy as np
import numpy.typing as npt

# The activations of this number of pictures are in memory at once: 5 MB a picture at 96 pixels.
_STATISTICS_BLOCK = 32


class Affine(NamedTuple):
    """A batch norm and its task: multiply each channel by its factor, then add its shift, both [channels]."""

    norm: keras.layers.BatchNormalization
    factor: npt.NDArray[np.float32]
    shift: npt.NDArray[np.float32]


def give_statistics(network: keras.Model, affine: list[Affine], sample: npt.NDArray[np.float32]) -> None:
    """Give each norm the statistics of `sample`, so that it applies its factor and shift and does nothing else.

    `sample` is standardized pixels, [n, size, size, channels], that run through the network once.
    """
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


def norm_of_tensor(network: keras.Model) -> dict[int, keras.layers.BatchNormalization]:
    """The batch norm that reads each tensor, by the tensor's id."""
    return {id(norm.input): norm for norm in network.layers if isinstance(norm, keras.layers.BatchNormalization)}


def _channel_statistics(
    network: keras.Model, sample: npt.NDArray[np.float32]
) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Mean and variance [channels] of every output of `network` over the sample."""
    of_blocks = []
    for start in range(0, len(sample), _STATISTICS_BLOCK):
        # Keras gives a single output as itself, several as a list.
        outputs = keras.tree.flatten(network(sample[start : start + _STATISTICS_BLOCK], training=False))
        values = [keras.ops.convert_to_numpy(output).astype(np.float64) for output in outputs]
        spatial = [tuple(range(1, v.ndim - 1)) for v in values]
        of_blocks.append([(v.mean(axis=a), (v**2).mean(axis=a)) for v, a in zip(values, spatial, strict=True)])
    statistics = []
    for of_output in zip(*of_blocks, strict=True):
        mean = np.concatenate([means for means, _ in of_output]).mean(axis=0)
        mean_square = np.concatenate([squares for _, squares in of_output]).mean(axis=0)
        statistics.append((mean, np.maximum(mean_square - mean**2, 0)))
    return statistics
