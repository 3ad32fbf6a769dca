"""A fitted ensemble as JSON, as tables for a terminal, and in one line."""

from dataclasses import asdict
from typing import Any

import msgspec
from rich.table import Table

from training.measuring.evaluation_output import metrics_json, metrics_table, number_table
from training.weighing.ensemble import FIRST, EnsembleFit


def ensemble_json(fit: EnsembleFit) -> list[dict[str, Any]]:
    """One object for each dataset, validation first, and one for the choice."""
    datasets = [
        {
            "dataset": evaluation.dataset,
            "role": role,
            "n": evaluation.n,
            "skipped_reasons": dict(evaluation.skipped),
            "figures": metrics_json(evaluation),
        }
        for role, evaluations in fit.measured.items()
        for evaluation in evaluations
    ]
    choice = {
        "chosen": fit.chosen,
        "weighings": {name: asdict(weighing) for name, weighing in fit.weighings.items()},
        "adaptive": msgspec.to_builtins(fit.manifest.adaptive),
    }
    return [*datasets, choice]


def ensemble_tables(fit: EnsembleFit) -> list[Table]:
    """A table of the weights, and one for each dataset, validation first."""
    models = [model.name for model in fit.manifest.models]
    title = "weights, all fitted on validation; the lowest mean NLL is chosen"
    weights = number_table(title, "", *models, "temperature", "mean NLL", "mean accuracy")
    for name, w in fit.weighings.items():
        values = (*(w.weights[model] for model in models), w.temperature, w.nll, w.accuracy)
        weights.add_row(name + " (chosen)" * (name == fit.chosen), *(f"{value:.4f}" for value in values))
    measured = [(role, evaluation) for role, evaluations in fit.measured.items() for evaluation in evaluations]
    return [weights, *(metrics_table(evaluation, "", recalls=False, role=f"{role}: ") for role, evaluation in measured)]


def ensemble_summary(fit: EnsembleFit) -> str:
    """What was written into the manifest, in one line."""
    written = f"wrote the {fit.chosen} weights and temperature {fit.manifest.temperature:g}"
    adaptive = fit.manifest.adaptive
    if adaptive is None:
        return f"{written}; no adaptive ensemble, which needs {FIRST} and another model"
    figures, default = adaptive.figures, " (the default)" if adaptive.default else ""
    return (
        f"{written}; adaptive{default} from a confidence of {adaptive.threshold:g}: {figures['escalated']:.0%} "
        f"escalated, {100 * figures['loss']:.2f} points lost, {figures['ms_per_face']:.2f} ms per face "
        f"instead of {figures['full_ms_per_face']:.2f}"
    )
