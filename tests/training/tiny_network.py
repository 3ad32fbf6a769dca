"""The command `training`, killed in its second epoch, with a network of a few layers in MobileNetV2's place.

MobileNetV2 takes half a minute of a core to compile, this one two seconds. Run as
`python -m tests.training.tiny_network ARGUMENTS`.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from training import fit, networks
from training.cli import app

# A bad moment to die in: the epoch is over and its figures are written, the state to go on from is not.
LAST_WORDS = "epoch-002.weights.h5"


def tiny(size: int, channels: int) -> keras.Model:
    """[n, size, size, channels] -> [n, 7] logits, of the same kinds of layer as MobileNetV2."""
    x = given = keras.Input((size, size, channels))
    x = keras.layers.Conv2D(8, 3, strides=2, use_bias=False)(x)
    x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(x))
    for channels in (16, 64):
        x = keras.layers.DepthwiseConv2D(3, strides=2, use_bias=False)(x)
        x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(x))
        x = keras.layers.Conv2D(channels, 1, use_bias=False)(x)
        x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(given, keras.layers.Dense(7, name="logits")(keras.layers.Dropout(0.1)(x)), name="mobilenetv2")


def _die_at_last_words() -> None:
    write_whole = fit._whole_or_not_at_all

    def write_or_die(path: Path, write: Callable[[Path], Any]) -> None:
        if path.name == LAST_WORDS:
            os.kill(os.getpid(), signal.SIGKILL)
        write_whole(path, write)

    fit._whole_or_not_at_all = write_or_die


if __name__ == "__main__":
    networks.NETWORKS["mobilenetv2"] = tiny
    _die_at_last_words()
    app()
