"""A network of a few layers in MobileNetV2's place, and the command `training` with it, killed at a chosen moment.

MobileNetV2 takes half a minute of a core to compile, this one two seconds. `python -m tests.training.tiny_network FILE
ARGUMENTS` is killed after the content of FILE is written and before the file gets its name.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import pytest

from training.cli import app
from training.fitting import fit, optimizer
from training.networks import architectures
from training.recipe import Recipe
from training.run import FIXED, claim_run, network_file, write_standardization

PLATEAU_PATIENCE = 1  # epochs, so that a fit reaches a plateau soon


def tiny(size: int, channels: int) -> keras.Model:
    """[n, size, size, channels] -> [n, 7] logits, of the same kinds of layer as MobileNetV2."""
    x = given = keras.Input((size, size, channels))
    x = keras.layers.Conv2D(8, 3, strides=2, use_bias=False, name="stem")(x)
    x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(x))
    for channels in (16, 64):
        x = keras.layers.DepthwiseConv2D(3, strides=2, use_bias=False)(x)
        x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(x))
        x = keras.layers.Conv2D(channels, 1, use_bias=False)(x)
        x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D(name="head_pool")(x)
    x = keras.layers.Dropout(0.1, name="head_dropout")(x)
    return keras.Model(given, keras.layers.Dense(7, name="logits")(x), name="mobilenetv2")


@contextmanager
def tiny_fits() -> Iterator[None]:
    """Every fit is of the tiny network and draws no charts, which take a quarter of its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(architectures.NETWORKS, "mobilenetv2", tiny)
        patch.setitem(architectures.NETWORKS, "mobilenetv1", tiny)
        patch.setattr(optimizer, "PLATEAU_PATIENCE", PLATEAU_PATIENCE)
        patch.setattr(fit, "save_chart", lambda _, path: path.touch())
        yield


def finished_run(run: Path, recipe: Recipe) -> Path:
    """A run of a network with random weights, as a finished fit leaves it."""
    keras.utils.set_random_seed(1)
    claim_run(run, recipe)
    write_standardization(run, FIXED)
    tiny(recipe.size, {"grey": 1, "rgb": 3}[recipe.colour]).save(network_file(run, recipe.model))
    return run


def _die_writing(name: str) -> None:
    replace = Path.replace

    def replace_or_die(path: Path, target: Path) -> Path:
        if target.name == name:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(path, target)

    Path.replace = replace_or_die  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    _die_writing(sys.argv.pop(1))
    with tiny_fits():
        app()
