"""What a fitted network says, in float and before it is quantized."""

from pathlib import Path

import keras
import numpy as np

from training.datasets import Faces
from training.recipe import fitted_network, read_recipe, read_standardization
from worker.perception.emotions import Probabilities, softmax

PREDICTED_AT_ONCE = 256


def read_faces(run: Path, faces: Faces) -> Probabilities:
    """What the network fitted in `run` makes of `faces`, [n, 7]; they have the size and colour of its recipe."""
    network = keras.models.load_model(fitted_network(run, read_recipe(run).model), compile=False)
    standardization = read_standardization(run)
    blocks = range(0, len(faces.pixels), PREDICTED_AT_ONCE)
    logits = [
        network.predict_on_batch(standardization.applied(faces.pixels[i : i + PREDICTED_AT_ONCE])) for i in blocks
    ]
    return softmax(np.concatenate(logits))
