"""An evaluation as JSON and as tables for a terminal."""

from dataclasses import asdict
from typing import Any

from rich.table import Column, Table

from training.datasets import left_out
from training.measuring.evaluation import ENSEMBLE, Evaluation
from worker.contract.messages import EMOTIONS


def number_table(title: str, first: str, *numbers: str) -> Table:
    """An empty table: a column of names with the heading `first`, then columns of numbers."""
    return Table(first, *(Column(heading, justify="right") for heading in numbers), title=title)


def evaluation_json(evaluation: Evaluation) -> dict[str, Any]:
    """All metrics of `evaluate`; the keys are in the order of the fields."""
    figures = metrics_json(evaluation)
    return {
        "dataset": evaluation.dataset,
        "n": evaluation.n,
        "skipped": evaluation.skipped.total(),
        "skipped_reasons": dict(evaluation.skipped),
        "models": {name: figures.pop(name) for name in evaluation.metrics if name != ENSEMBLE},
        **figures,
        **({} if evaluation.framing is None else {"framing": evaluation.framing}),
    }


def metrics_json(evaluation: Evaluation) -> dict[str, Any]:
    """The metrics by name. Those of the adaptive ensemble come last, if there is one, with the share of escalated."""
    by_name = {name: asdict(metrics) for name, metrics in evaluation.metrics.items()}
    if evaluation.adaptive is not None:
        by_name["adaptive"] = {
            "escalated": evaluation.escalated,
            "asked": evaluation.asked,
            **asdict(evaluation.adaptive),
        }
    return by_name


def metrics_table(evaluation: Evaluation, first: str, recalls: bool, role: str = "") -> Table:
    """A row for each model and ensemble. `first` heads their names; with `recalls`, each emotion has a column."""
    title = f"{role}{evaluation.dataset}: {evaluation.n} pictures{left_out(evaluation.skipped)}"
    table = number_table(title, first, "accuracy", "macro recall", "ECE", "NLL", *(EMOTIONS if recalls else ()))
    rows = dict(evaluation.metrics)
    if evaluation.adaptive is not None:
        rows[f"adaptive ({evaluation.escalated:.0%} escalated)"] = evaluation.adaptive
    for name, m in rows.items():
        figures = [f"{value:.4f}" for value in (m.accuracy, m.macro_recall, m.ece, m.nll)]
        shown = m.recall.values() if recalls else ()
        table.add_row(name, *figures, *("-" if recall is None else f"{recall:.2f}" for recall in shown))
    return table


def framing_table(evaluation: Evaluation) -> Table | None:
    """The change of accuracy, in points, in other framings; None if no framing was asked for."""
    if evaluation.framing is None:
        return None
    title = f"{evaluation.dataset}: points of accuracy won or lost in another framing of the crop"
    table = number_table(title, "model", *evaluation.framing)
    for name in evaluation.metrics:
        table.add_row(name, *(f"{100 * differences[name]:+.1f}" for differences in evaluation.framing.values()))
    return table
