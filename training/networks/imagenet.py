"""Starting weights: of ImageNet as Keras downloads them, or as folded kernels.

Folded kernels are already multiplied with the scales of their batch norms. New batch norms would normalize each channel
again and change the function of the network. So each gets the statistics of a sample, and the gamma and beta that undo
them.
"""

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from training.arrays import read_npz
from training.networks.architectures import APPLICATIONS
from training.networks.norm_statistics import Affine, give_statistics, norm_of_tensor
from training.recipe import IMAGENET
from training.run import FIXED

# The numbers of convolutions in a block of InceptionV3's graph of 2015: outside the towers, in tower, tower_1, tower_2.
# The last value says whether tower and tower_1 end in a fork ("mixed") of 1x3 and 3x1.
_INCEPTION_BLOCKS = (
    *[(1, 2, 3, 1, False)] * 3,
    (1, 3, 0, 0, False),
    *[(1, 3, 5, 1, False)] * 4,
    (0, 2, 4, 0, False),
    *[(1, 1, 2, 1, True)] * 2,
)
_INCEPTION_STEM = 5

# What MobileNetV1's folded kernels expect to be subtracted from BGR pixels of 0 to 255 (VGGFace2, Caffe's means).
_BGR_MEANS = np.array([103.939, 116.779, 123.68], np.float32)

# The end of the name of the norm that a block of ResNet50V2 begins with.
_PREACTIVATION = "_preact_bn"


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

    The first kernel of a grey network is the sum over the colours, so a grey picture gives the same activations as the
    same picture in three equal channels.
    """
    for source, target in zip(base.layers, network.layers, strict=False):  # beyond the base lies the head
        arrays = [keras.ops.convert_to_numpy(weight) for weight in source.weights]
        if len(arrays) < len(target.weights):  # InceptionV3's batch norms come without scale
            arrays.insert(0, np.ones_like(arrays[0]))
        for weight, array in zip(target.weights, arrays, strict=True):
            weight.assign(_for_channels_of(weight, array))


def load_folded(network: keras.Model, path: Path, sample: npt.NDArray[np.float32]) -> None:
    """Load the kernels of `path` and give the batch norms their statistics.

    `path` is an .npz of `LAYER/kernel` and `LAYER/bias` arrays. A layer with a bias of its own takes the bias;
    otherwise the batch norm after the layer does. A ResNet50V2 block normalizes its input first, a folded block does
    not, so that norm starts as the identity. MobileNetV1's kernels are those of a face network, which takes BGR pixels
    less their means; its first kernel is changed for standardized RGB pixels.

    `sample` is standardized pixels, [n, size, size, channels], that run through the network once. Raises ValueError if
    no kernel fits.
    """
    arrays = read_npz(path)
    names = _inception_names(network) if network.name == "inceptionv3" else {}
    named = [(names.get(layer.name, layer.name), layer) for layer in network.layers]
    given = [(name, layer) for name, layer in named if f"{name}/kernel" in arrays]
    if not given:
        raise ValueError(f"{path.name}: no layer of {network.name} in it; is it the file for another network?")
    norms = norm_of_tensor(network)
    folded: list[Affine] = []
    for name, layer in given:
        wanted = layer.weights[0].shape
        if f"{name}/bias" not in arrays:
            raise ValueError(f"{path.name}: {name} has a kernel and no bias")
        kernel, bias = (arrays[f"{name}/{part}"].astype(np.float32) for part in ("kernel", "bias"))
        if network.name == "mobilenetv1" and name == "conv1":
            kernel, bias = _for_standardized_rgb(kernel, bias)
        kernel = _for_channels_of(layer.weights[0], kernel)
        if kernel.shape != tuple(wanted):
            raise ValueError(f"{path.name}: {name} has shape {kernel.shape}, the network wants {tuple(wanted)}")
        layer.weights[0].assign(kernel)
        if len(layer.weights) > 1:
            layer.weights[1].assign(bias)
        else:
            folded.append(Affine(norms[id(layer.output)], np.ones_like(bias), bias))
    for layer in network.layers:
        block = str(layer.name).removesuffix(_PREACTIVATION)
        if block != layer.name and f"{block}_1_conv/kernel" in arrays:
            zeros = np.zeros(layer.beta.shape, np.float32)
            folded.append(Affine(layer, np.ones_like(zeros), zeros))
    give_statistics(network, folded, sample)


def _for_standardized_rgb(
    kernel: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """A kernel for BGR pixels less _BGR_MEANS, as one for RGB pixels in [-1, 1], and its bias.

    They give the same, except where the kernel reaches beyond the picture.
    """
    shift = np.einsum("hwio,i->o", kernel, FIXED.mean - _BGR_MEANS)
    return kernel[:, :, ::-1] * np.float32(FIXED.std), np.asarray(bias + shift, np.float32)


def _for_channels_of(weight: keras.Variable, kernel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """`kernel`, summed over colours if `weight` is for grey pictures."""
    if kernel.ndim == 4 and kernel.shape[2] == 3 and weight.shape[2] == 1:
        return np.asarray(kernel.sum(axis=2, keepdims=True), np.float32)
    return kernel


def _inception_names(network: keras.Model) -> dict[str, str]:
    """Keras' name of each convolution -> its name in the graph of 2015. Keras numbers them as they are made."""
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
