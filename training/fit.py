"""Fitting one network on labelled face pictures, so that it can be killed at any moment and resumed."""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from training.augmentation import Augment
from training.datasets import Faces
from training.networks import NETWORKS, load_folded_imagenet
from training.recipe import PIXEL_MEAN, PIXEL_STD, Recipe, RunError, claim_run
from worker.contract.messages import EMOTIONS
from worker.preprocessing import CHANNELS

# Pictures shown to the network once so that batch norm learns its statistics (see load_folded_imagenet).
STATISTICS_SAMPLE = 256

WARM_UP = 0.05  # of all steps, in which the learning rate climbs from a twentieth of what it will be
VALIDATION_BATCH = 256


def fit(recipe: Recipe, train: Faces, validation: Faces, run: Path) -> Path:
    """Train by `recipe`; the network at its best epoch on validation becomes RUN/NAME.keras, which is returned.

    A fit that was killed goes on after its last finished epoch when called again with the same `run`.
    Raises RunError where `run` holds a fit by another recipe, or the starting weights cannot be used.
    """
    progress = Progress(run)
    keras.utils.set_random_seed(recipe.seed + progress.epochs)
    network = NETWORKS[recipe.model](recipe.size, CHANNELS[recipe.colour])
    if recipe.weights is not None and not progress.epochs:
        _load_starting_weights(network, Path(recipe.weights), train)
    claim_run(run, recipe)
    trained = _in_training(network, recipe, math.ceil(len(train.labels) / recipe.batch) * recipe.epochs)
    progress.restore(trained)
    trained.fit(
        train.pixels,
        keras.utils.to_categorical(train.labels, len(EMOTIONS)),
        batch_size=recipe.batch,
        initial_epoch=progress.epochs,
        epochs=recipe.epochs,
        validation_data=(validation.pixels, keras.utils.to_categorical(validation.labels, len(EMOTIONS))),
        validation_batch_size=VALIDATION_BATCH,
        verbose=2,
        callbacks=[progress],
    )
    trained.load_weights(progress.best)
    fitted = run / f"{recipe.model}.keras"
    _whole_or_not_at_all(fitted, network.save)
    return fitted


class Progress(keras.callbacks.Callback):  # type: ignore[misc]  # Keras comes without types
    """What a fit has come to, on disk after every epoch: history.csv, best.weights.h5 and epoch-NNN.weights.h5.

    Keras' own BackupAndRestore and ModelCheckpoint write in place, and after a restart take the first epoch for the
    best. Here a kill at any moment leaves the last finished epoch as it was: its file appears last, in one step.
    """

    def __init__(self, run: Path) -> None:
        super().__init__()
        self.best = run / "best.weights.h5"
        self._history_file = run / "history.csv"
        self._run = run
        finished = self._finished()
        self.epochs = int(finished[-1].name.split(".")[0].removeprefix("epoch-")) if finished else 0
        self._history = self._read_history()[: self.epochs]

    def restore(self, trained: keras.Model) -> None:
        """Bring network and optimizer to where the last finished epoch left them, if there was one."""
        if finished := self._finished():
            trained.optimizer.build(trained.trainable_variables)
            trained.load_weights(finished[-1])

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        figures = {"epoch": epoch + 1.0, **(logs or {})}
        before = self._finished()
        if all(figures["val_accuracy"] > earlier["val_accuracy"] for earlier in self._history):
            _whole_or_not_at_all(self.best, self.model.save_weights)
        self._history.append(figures)
        _whole_or_not_at_all(self._history_file, self._write_history)
        _whole_or_not_at_all(self._run / f"epoch-{epoch + 1:03d}.weights.h5", self.model.save_weights)
        for file in before:
            file.unlink()

    def _finished(self) -> list[Path]:
        return sorted(self._run.glob("epoch-*.weights.h5"))

    def _read_history(self) -> list[dict[str, float]]:
        if not self._history_file.exists():
            return []
        with self._history_file.open(newline="") as file:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]

    def _write_history(self, path: Path) -> None:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(self._history[0]))
            writer.writeheader()
            writer.writerows(self._history)


def _in_training(network: keras.Model, recipe: Recipe, steps: int) -> keras.Model:
    """`network` behind augmentation and normalisation, ready for `steps` steps of training."""
    trained = keras.Sequential(
        [
            keras.Input(network.input.shape[1:], dtype="uint8"),
            Augment(recipe.seed),
            keras.layers.Rescaling(1 / PIXEL_STD, -PIXEL_MEAN / PIXEL_STD),
            network,
        ]
    )
    warm_up = max(1, round(steps * WARM_UP))
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=recipe.learning_rate / 20,
        warmup_target=recipe.learning_rate,
        warmup_steps=warm_up,
        decay_steps=max(1, steps - warm_up),
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay)
    # Decay is for kernels; pulling batch norm's scales towards nothing helps nobody (He et al., 2019, section 3.1).
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    trained.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
    )
    return trained


def _load_starting_weights(network: keras.Model, path: Path, train: Faces) -> None:
    try:
        if path.suffix == ".npz":
            random = np.random.default_rng(0)
            chosen = random.permutation(len(train.labels))[:STATISTICS_SAMPLE]
            sample = (train.pixels[chosen].astype(np.float32) - PIXEL_MEAN) / PIXEL_STD
            load_folded_imagenet(network, path, sample)
        else:
            network.set_weights(keras.models.load_model(path, compile=False).get_weights())
    except (OSError, ValueError) as failure:
        reason = " ".join(str(failure).split())[:200]
        raise RunError(f"--weights {path}: no starting weights for {network.name} ({reason})") from None


def _whole_or_not_at_all(path: Path, write: Callable[[Path], Any]) -> None:
    unfinished = path.with_name(f"unfinished-{path.name}")
    write(unfinished)
    unfinished.replace(path)
