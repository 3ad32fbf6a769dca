"""The charts of a fit: its curves, and the confusion matrix of its network. No Keras."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from training.whole_file import write_whole
from worker.contract.messages import EMOTIONS

_DPI = 110
_WHITE_TEXT_FROM = 0.5  # share of a row; such a cell is dark


def curves(history: Sequence[dict[str, float]]) -> Figure:
    """Loss, accuracy and learning rate over the epochs of a fit: the `history` of its Checkpoints, not empty."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    loss, accuracy, rate = figure.subplots(1, 3)
    epochs = [metrics["epoch"] for metrics in history]
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        for column, label, style in ((name, "training", "--"), (f"val_{name}", "validation", "-")):
            axes.plot(epochs, [metrics[column] for metrics in history], style, marker=".", label=label)
        axes.legend()
        axes.set_title(name)
    rates = [metrics["learning_rate"] for metrics in history]
    rate.plot(epochs, rates, marker=".", color="tab:green")
    if min(rates) > 0:  # a cosine may end at 0
        rate.set_yscale("log")
    rate.set_title("learning rate at the end of the epoch")
    for axes in (loss, accuracy, rate):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    return figure


def confusion_matrix(counts: npt.NDArray[np.int64], title: str) -> Figure:
    """The chart of `metrics.confusion` [7, 7]: each cell with its share of the row, and its count."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(7.5, 6.5), layout="constrained")
    axes = figure.subplots()
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(drawn, ax=axes, label="share of the displayed emotion", shrink=0.8)
    for (i, j), share in np.ndenumerate(shares):
        axes.text(
            j,
            i,
            f"{share:.0%}\n{counts[i, j]}",
            ha="center",
            va="center",
            fontsize=9,
            color="white" if share > _WHITE_TEXT_FROM else "black",
        )
    axes.set_xticks(range(len(EMOTIONS)), EMOTIONS, rotation=30, ha="right")
    axes.set_yticks(range(len(EMOTIONS)), EMOTIONS)
    axes.set_xlabel("predicted")
    axes.set_ylabel("displayed (label)")
    axes.set_title(title)
    return figure


def save_chart(figure: Figure, path: Path) -> None:
    """Write a .png whole or not at all; RunError if the disk is full."""
    write_whole(path, lambda unfinished: figure.savefig(unfinished, dpi=_DPI))
