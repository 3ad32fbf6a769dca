"""The command `training` with a network of a few layers in MobileNetV2's place, killed at a chosen moment.

MobileNetV2 takes half a minute of a core to compile, this one two seconds. Run as
`python -m tests.training.tiny_network MOMENT ARGUMENTS`, where MOMENT is `writing:FILE`, after the file's content is
written and before it has its name, or `epoch:N`, in the middle of that epoch.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import keras

from training.cli import app
from training.fitting import optimizer
from training.fitting.batches import TrainingBatches
from training.networks import architectures

PLATEAU_PATIENCE = 1  # epochs, so that a plateau is reached in a few


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
    x = keras.layers.GlobalAveragePooling2D(name="head_pool")(x)
    x = keras.layers.Dropout(0.1, name="head_dropout")(x)
    return keras.Model(given, keras.layers.Dense(7, name="logits")(x), name="mobilenetv2")


def _die_writing(name: str) -> None:
    replace = Path.replace

    def replace_or_die(path: Path, target: Path) -> Path:
        if target.name == name:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(path, target)

    Path.replace = replace_or_die  # type: ignore[method-assign,assignment]


def _die_in_epoch(number: str) -> None:
    shuffle, batch = TrainingBatches.shuffle, TrainingBatches.__getitem__
    epochs: list[int] = []

    def note_epoch(pictures: TrainingBatches, epoch: int) -> None:
        epochs.append(epoch + 1)
        shuffle(pictures, epoch)

    def batch_or_die(pictures: TrainingBatches, index: int) -> Any:
        if epochs[-1] == int(number) and index == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return batch(pictures, index)

    TrainingBatches.shuffle, TrainingBatches.__getitem__ = note_epoch, batch_or_die  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    architectures.NETWORKS["mobilenetv2"] = tiny
    optimizer.PLATEAU_PATIENCE = PLATEAU_PATIENCE
    kind, _, when = sys.argv.pop(1).partition(":")
    {"writing": _die_writing, "epoch": _die_in_epoch}[kind](when)
    app()
