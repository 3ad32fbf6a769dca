"""Predictions of a run's network, in float and before it is quantized."""

from pathlib import Path

import numpy as np

from training.datasets import FaceArrays
from training.networks.saved import load_network
from training.run import network_file, read_recipe, read_standardization
from worker.perception.emotions import Probabilities, softmax

_BATCH = 256


def predict(run: Path, faces: FaceArrays) -> Probabilities:
    """The probabilities [n, 7] of the network in `run` for `faces`, which have the size and colour of its recipe."""
    network = load_network(network_file(run, read_recipe(run).model))
    standardization = read_standardization(run)
    batches = (faces.pixels[i : i + _BATCH] for i in range(0, len(faces.pixels), _BATCH))
    logits = [network.predict_on_batch(standardization.applied(pixels)) for pixels in batches]
    return softmax(np.concatenate(logits))
