"""The weights that a fit starts from, as its recipe names them."""

from pathlib import Path

import keras
import numpy as np

from training.datasets import FaceArrays
from training.networks.imagenet import load_folded, load_imagenet
from training.networks.quantized_weights import load_quantized
from training.networks.saved import load_network
from training.recipe import IMAGENET, RunError, in_one_line
from training.run import Standardization, network_file, read_recipe

# Pictures that run through the network once to give its batch norms their statistics.
STATISTICS_SAMPLE = 256


def load_starting_weights(
    network: keras.Model, weights: str, train: FaceArrays, standardization: Standardization
) -> None:
    """Load `weights` (a recipe's) into `network`; RunError if they cannot be had or do not fit."""
    if weights == IMAGENET:
        try:
            return load_imagenet(network)
        except OSError as failure:
            raise RunError(
                f"--weights imagenet: no download ({in_one_line(failure)}); pass a .npz or .keras file, or none"
            ) from None
    path = Path(weights)
    try:
        if path.suffix in (".npz", ".tflite"):
            random = np.random.default_rng(0)
            chosen = random.permutation(len(train.labels))[:STATISTICS_SAMPLE]
            load = load_quantized if path.suffix == ".tflite" else load_folded
            load(network, path, standardization.applied(train.pixels[chosen]))
        else:
            file = network_file(path, read_recipe(path).model) if path.is_dir() else path
            network.set_weights(load_network(file).get_weights())
    except (OSError, ValueError) as failure:
        raise RunError(f"--weights {path}: no starting weights for {network.name} ({in_one_line(failure)})") from None
