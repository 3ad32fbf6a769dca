"""A fitted ensemble as JSON, as tables for a terminal, and in one line."""

from dataclasses import asdict
from typing import Any

import msgspec
from rich.table import Table

from training.measuring.crops import skipped_pictures
from training.measuring.evaluation_output import adaptive_json, metric_cells
from training.weighing.ensemble import FIRST, DatasetMetrics, EnsembleFit


def ensemble_json(fit: EnsembleFit) -> list[dict[str, Any]]:
    """One object for each dataset, validation first, and one for the choice."""
    choice = {
        "chosen": fit.chosen,
        "weighings": {name: asdict(weighing) for name, weighing in fit.weighings.items()},
        "adaptive": msgspec.to_builtins(fit.manifest.adaptive),
    }
    return [*map(_dataset_json, fit.measured), choice]


def ensemble_tables(fit: EnsembleFit) -> list[Table]:
    """A table of the weights, and one for each dataset, validation first."""
    models = [model.name for model in fit.manifest.models]
    table = Table(title="weights, all fitted on validation; the lowest mean NLL is chosen")
    for heading in ("", *models, "temperature", "mean NLL", "mean accuracy"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, w in fit.weighings.items():
        values = (*(w.weights[model] for model in models), w.temperature, w.nll, w.accuracy)
        table.add_row(name + " (chosen)" * (name == fit.chosen), *(f"{value:.4f}" for value in values))
    return [table, *map(_dataset_table, fit.measured)]


def ensemble_summary(fit: EnsembleFit) -> str:
    """What was written into the manifest, in one line."""
    written = f"wrote the {fit.chosen} weights and temperature {fit.manifest.temperature:g}"
    adaptive = fit.manifest.adaptive
    if adaptive is None:
        return f"{written}; no adaptive ensemble, which needs {FIRST} and another model"
    figures = adaptive.figures
    return (
        f"{written}; adaptive from a confidence of {adaptive.threshold:g}: {figures['escalated']:.0%} escalated, "
        f"{100 * figures['loss']:.2f} points lost, {figures['ms_per_face']:.2f} ms per face "
        f"instead of {figures['full_ms_per_face']:.2f}"
    )


def _dataset_json(measured: DatasetMetrics) -> dict[str, Any]:
    return {
        "dataset": measured.dataset,
        "role": measured.role,
        "n": measured.n,
        "skipped_reasons": dict(measured.skipped),
        "figures": {
            **{name: asdict(metrics) for name, metrics in measured.metrics.items()},
            **adaptive_json(measured.adaptive, measured.escalated),
        },
    }


def _dataset_table(measured: DatasetMetrics) -> Table:
    table = Table(
        title=f"{measured.role}: {measured.dataset}: {measured.n} pictures{skipped_pictures(measured.skipped)}"
    )
    for heading in ("", "accuracy", "macro recall", "ECE", "NLL"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, metrics in measured.metrics.items():
        table.add_row(name, *metric_cells(metrics))
    if measured.adaptive is not None:
        table.add_row(f"adaptive ({measured.escalated:.0%} escalated)", *metric_cells(measured.adaptive))
    return table
