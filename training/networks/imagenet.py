"""ImageNet weights as Keras downloads them, copied into all layers but the head."""

import keras
import numpy as np
import numpy.typing as npt

from training.networks.architectures import APPLICATIONS
from training.recipe import IMAGENET


def load_imagenet(network: keras.Model) -> None:
    """Download and load the weights; OSError if they cannot be downloaded."""
    _, size, _, _ = network.input.shape
    try:
        pretrained = APPLICATIONS[network.name](input_shape=(size, size, 3), include_top=False, weights=IMAGENET)
    except Exception as failure:  # Keras raises no narrower exception if a download fails
        raise OSError(failure) from None
    copy_base(pretrained, network)


def copy_base(base: keras.Model, network: keras.Model) -> None:
    """Copy the weights of `base`, a colour network without head, into `network`, the same architecture with a head.

    The first kernel of a grey network becomes the sum over colours: it then answers as to three equal channels.
    """
    for source, target in zip(base.layers, network.layers, strict=False):  # beyond the base lies the head
        arrays = [keras.ops.convert_to_numpy(weight) for weight in source.weights]
        if len(arrays) < len(target.weights):  # InceptionV3's batch norms come without scale
            arrays.insert(0, np.ones_like(arrays[0]))
        for weight, array in zip(target.weights, arrays, strict=True):
            weight.assign(for_channels_of(weight, array))


def for_channels_of(weight: keras.Variable, kernel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """`kernel`, summed over colours if `weight` is for grey pictures."""
    if kernel.ndim == 4 and kernel.shape[2] == 3 and weight.shape[2] == 1:
        return np.asarray(kernel.sum(axis=2, keepdims=True), np.float32)
    return kernel
