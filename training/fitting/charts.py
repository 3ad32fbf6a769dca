"""Pictures of a fit: how it went, and what its network takes for what."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from training.recipe import write_whole
from worker.contract.messages import EMOTIONS

_DPI = 110
_DARK_FROM = 0.5  # the share from which a cell is so dark that its text is white


def curves(history: Sequence[dict[str, float]]) -> Figure:
    """Loss, accuracy and learning rate over the epochs of a fit, as `Progress` keeps them; one epoch at least."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    loss, accuracy, rate = figure.subplots(1, 3)
    epochs = [figures["epoch"] for figures in history]
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        for column, label, style in ((name, "training", "--"), (f"val_{name}", "validation", "-")):
            axes.plot(epochs, [figures[column] for figures in history], style, marker=".", label=label)
        axes.legend()
        axes.set_title(name)
    rates = [figures["learning_rate"] for figures in history]
    rate.plot(epochs, rates, marker=".", color="tab:green")
    if min(rates) > 0:  # a cosine may end at nothing
        rate.set_yscale("log")
    rate.set_title("learning rate at the end of the epoch")
    for axes in (loss, accuracy, rate):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    return figure


def confusion_matrix(counts: npt.NDArray[np.int64], title: str) -> Figure:
    """A [7, 7] confusion, rows true and columns read: each cell with its share of the row, and its count."""
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
            color="white" if share > _DARK_FROM else "black",
        )
    axes.set_xticks(range(len(EMOTIONS)), EMOTIONS, rotation=30, ha="right")
    axes.set_yticks(range(len(EMOTIONS)), EMOTIONS)
    axes.set_xlabel("read")
    axes.set_ylabel("displayed (label)")
    axes.set_title(title)
    return figure


def save_picture(figure: Figure, path: Path) -> None:
    """Write a .png, whole or not at all; RunError where the disk is full."""
    write_whole(path, lambda unfinished: figure.savefig(unfinished, dpi=_DPI))
