"""Reading a network that was saved as a file."""

from pathlib import Path

import keras

from training.recipe import in_one_line


def load_network(file: Path) -> keras.Model:
    """The network in a file of Keras, not compiled; ValueError, in one line, if Keras cannot load it."""
    try:
        return keras.models.load_model(file, compile=False)
    except Exception as failure:  # of many types: a damaged file, another archive, a layer unknown to Keras
        raise ValueError(in_one_line(failure)) from None
