"""An evaluation as JSON and as tables for a terminal."""

from dataclasses import asdict
from typing import Any

from rich.table import Table

from training.measuring.crops import skipped_pictures
from training.measuring.evaluation import Evaluation
from training.measuring.metrics import Metrics
from worker.contract.messages import EMOTIONS


def evaluation_json(evaluation: Evaluation) -> dict[str, Any]:
    """All metrics; the keys are in the order of the fields."""
    return {
        "dataset": evaluation.dataset,
        "n": evaluation.n,
        "skipped": evaluation.skipped.total(),
        "skipped_reasons": dict(evaluation.skipped),
        "models": {name: asdict(metrics) for name, metrics in evaluation.models.items()},
        "ensemble": asdict(evaluation.ensemble),
        **adaptive_json(evaluation.adaptive, evaluation.escalated),
        **({"framing": evaluation.framing} if evaluation.framing is not None else {}),
    }


def evaluation_table(evaluation: Evaluation) -> Table:
    """The metrics without the confusion matrices."""
    rows = {**evaluation.models, "ensemble": evaluation.ensemble}
    if evaluation.adaptive is not None:
        rows[f"adaptive ({evaluation.escalated:.0%} escalated)"] = evaluation.adaptive
    table = Table(title=f"{evaluation.dataset}: {evaluation.n} pictures{skipped_pictures(evaluation.skipped)}")
    table.add_column("model")
    for heading in ("accuracy", "macro recall", "ECE", "NLL", *EMOTIONS):
        table.add_column(heading, justify="right")
    for name, metrics in rows.items():
        recalls = ["-" if recall is None else f"{recall:.2f}" for recall in metrics.recall.values()]
        table.add_row(name, *metric_cells(metrics), *recalls)
    return table


def framing_table(evaluation: Evaluation) -> Table | None:
    """The change of accuracy, in points, in other framings; None if no framing was asked for."""
    if evaluation.framing is None:
        return None
    table = Table(title=f"{evaluation.dataset}: points of accuracy won or lost in another framing of the crop")
    table.add_column("model")
    for framing in evaluation.framing:
        table.add_column(framing, justify="right")
    for name in (*evaluation.models, "ensemble"):
        table.add_row(name, *(f"{100 * differences[name]:+.1f}" for differences in evaluation.framing.values()))
    return table


def adaptive_json(adaptive: Metrics | None, escalated: float | None) -> dict[str, Any]:
    """The entry of the adaptive ensemble; empty if there is none."""
    return {} if adaptive is None else {"adaptive": {"escalated": escalated, **asdict(adaptive)}}


def metric_cells(metrics: Metrics) -> list[str]:
    """The metrics that are one number: accuracy, macro recall, ECE, NLL."""
    return [f"{value:.4f}" for value in (metrics.accuracy, metrics.macro_recall, metrics.ece, metrics.nll)]
