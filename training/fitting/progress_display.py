"""The progress display of a fit: a line per epoch, and in a terminal a moving bar."""

import time
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

UPDATE_EVERY_S = 0.5
"""Reading the metrics of a step makes an accelerator wait for that step."""


class ProgressDisplay(keras.callbacks.Callback):  # type: ignore[misc]  # Keras comes without types
    """Displays a fit of `epochs` epochs of `steps` steps, of which `done` epochs are finished, inside `with .bar`."""

    async_safe = True  # then Keras converts a step's metrics without stopping the next step

    def __init__(self, epochs: int, steps: int, done: int) -> None:
        super().__init__()
        self._epochs, self._done = epochs, done
        console = Console(soft_wrap=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[metrics]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self.bar.add_task("", total=steps, metrics="")
        self._began = self._epoch_began = self._shown = time.monotonic()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self._done:
            self.bar.console.print(f"resumes after epoch {self._done}/{self._epochs}")

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch_began = time.monotonic()
        self.bar.reset(self._task, description=f"epoch {epoch + 1}/{self._epochs}", metrics="")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.bar.disable or not logs or time.monotonic() < self._shown + UPDATE_EVERY_S:
            return
        self._shown = time.monotonic()
        metrics = f"loss {float(logs['loss']):.4f}, accuracy {float(logs['accuracy']):.4f}"
        self.bar.update(self._task, completed=batch + 1, metrics=metrics)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        metrics = logs or {}
        now = time.monotonic()
        left = (now - self._began) / (epoch + 1 - self._done) * (self._epochs - epoch - 1)
        self.bar.console.print(
            f"epoch {epoch + 1}/{self._epochs}: "
            f"loss {metrics['loss']:.4f}, accuracy {metrics['accuracy']:.4f}; "
            f"validation loss {metrics['val_loss']:.4f}, accuracy {metrics['val_accuracy']:.4f}; "
            f"{duration(now - self._epoch_began)}" + (f", at most {duration(left)} left" if left else ""),
            highlight=False,
        )


def duration(seconds: float) -> str:
    """Seconds in words: 42 s, 12 min, 3 h 20 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
