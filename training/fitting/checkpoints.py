"""The checkpoints of a fit, written after every epoch, so that it can be killed at any moment and resumed."""

import csv
import math
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from training.networks.augmentation import seed_random_layers
from training.recipe import Recipe, RunError, in_one_line
from training.run import HISTORY
from training.whole_file import write_whole

Epoch = dict[str, float]
"""One epoch: its number, learning rate, loss and accuracy, on training and validation pictures."""


class Checkpoints(keras.callbacks.Callback):  # type: ignore[misc]  # Keras comes without types
    """The finished epochs of a fit: their metrics in history.csv, and epoch-NNN.weights.h5 of the last and the best.

    Keras' BackupAndRestore and ModelCheckpoint write in place, and after a restart they treat the first new epoch as
    the best one. Here the history decides. An epoch is finished when its weights file exists; this file is written last
    and in one step. The random draws of an epoch follow from the recipe's seed and the epoch, so a repeated epoch gives
    the same result.
    """

    def __init__(self, run: Path, recipe: Recipe, plateau: keras.callbacks.ReduceLROnPlateau | None = None) -> None:
        """Read the finished epochs of `run`; RunError if its files cannot be read."""
        super().__init__()
        self._run, self._recipe, self._plateau = run, recipe, plateau
        self._history_file = run / HISTORY
        kept = self._kept()
        self.history = self._read_history()[: _number(kept[-1])] if kept else []
        if kept and len(self.history) < _number(kept[-1]):
            raise RunError(f"{self._history_file}: ends before {kept[-1].name}; remove {run} and fit anew")

    @property
    def epochs(self) -> int:
        """The number of finished epochs."""
        return len(self.history)

    @property
    def over(self) -> bool:
        """Whether no epoch is left, or the recipe's patience is used up."""
        patience = self._recipe.patience
        waited = self.epochs - best_epoch(self.history, self._recipe.monitor) if self.history else 0
        return self.epochs >= self._recipe.epochs or (patience is not None and waited >= patience)

    def restore(self, trained: keras.Model) -> None:
        """Load the last finished epoch, if there is one, into network and optimizer."""
        if self.history:
            self._load(trained, self.epochs)

    def restore_best(self, trained: keras.Model) -> None:
        """Load the best epoch."""
        self._load(trained, best_epoch(self.history, self._recipe.monitor))

    def on_train_begin(self, logs: Epoch | None = None) -> None:
        """Replay the finished epochs to the plateau callback, because Keras has just reset it."""
        if self._plateau is not None:
            self.model.optimizer.learning_rate = self._recipe.learning_rate
            for metrics in self.history:
                self._plateau.on_epoch_end(int(metrics["epoch"]) - 1, dict(metrics))

    def on_epoch_begin(self, epoch: int, logs: Epoch | None = None) -> None:
        seed_random_layers(self.model, np.random.default_rng((self._recipe.seed, epoch)))

    def on_epoch_end(self, epoch: int, logs: Epoch | None = None) -> None:
        metrics = {"epoch": epoch + 1.0, **(logs or {})}
        metrics.setdefault("learning_rate", float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)))
        if not all(math.isfinite(value) for value in metrics.values()):
            rate = f"{self._recipe.learning_rate:g}"
            raise RunError(
                f"{self._run}: the loss is {metrics['loss']:g} in epoch {epoch + 1}, {metrics['val_loss']:g} on "
                f"validation; fit with a --learning-rate below {rate}, into another --out"
            )
        self.history.append(metrics)
        write_whole(self._history_file, self._write_history)
        write_whole(self._file(epoch + 1), self.model.save_weights)
        needed = {self.epochs, best_epoch(self.history, self._recipe.monitor)}
        for file in self._kept():
            if _number(file) not in needed:
                file.unlink()
        self.model.stop_training = self.over

    def _load(self, trained: keras.Model, epoch: int) -> None:
        trained.optimizer.build(trained.trainable_variables)
        file = self._file(epoch)
        try:
            trained.load_weights(file)
        except (OSError, ValueError, KeyError) as failure:
            raise RunError(
                f"{file}: cannot be read ({in_one_line(failure)}); remove {self._run} and fit anew"
            ) from None

    def _file(self, epoch: int) -> Path:
        return self._run / f"epoch-{epoch:03d}.weights.h5"

    def _kept(self) -> list[Path]:
        return sorted(self._run.glob("epoch-*.weights.h5"), key=_number)

    def _read_history(self) -> list[Epoch]:
        try:
            with self._history_file.open(newline="", encoding="utf-8") as file:
                return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
        except (OSError, ValueError, TypeError) as failure:
            raise RunError(f"{self._history_file}: {failure}; remove {self._run} and fit anew") from None

    def _write_history(self, path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self.history[0]))
            writer.writeheader()
            writer.writerows(self.history)


def best_epoch(history: list[Epoch], monitor: str) -> int:
    """The number of the epoch that is best at `monitor`: lowest loss or highest accuracy, the first of equals."""
    better: Callable[..., Epoch] = min if monitor.endswith("loss") else max
    return int(better(history, key=lambda metrics: metrics[monitor])["epoch"])


def _number(file: Path) -> int:
    return int(file.name.removeprefix("epoch-").split(".")[0])
