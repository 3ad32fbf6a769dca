"""`training ensemble`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from training.commands.arguments import Crop, Data, Models, Validation, errors_in_one_line, read_datasets, table_console
from training.datasets import Dataset, by_source
from training.recipe import RunError
from worker.perception.manifest import MODELS


def ensemble(
    data: Data,
    validation: Validation,
    models: Models = MODELS,
    manual: Annotated[
        str | None, typer.Option(metavar="NAME=WEIGHT,...", help="Weights to compare with the fitted ones.")
    ] = None,
    crop: Crop = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each dataset, and one for the choice.")
    ] = False,
) -> None:
    """Weigh the models of an ensemble.

    The best of several weighings on --validation is written; each is measured on --validation and DATA. Each set counts
    the same. A prepared set counts as the sets it was made of.
    """
    from training.measuring.crops import face_detector
    from training.provenance import provenance
    from training.weighing.ensemble import fit_ensemble
    from training.weighing.ensemble_output import ensemble_json, ensemble_summary, ensemble_tables

    with errors_in_one_line("training ensemble"):
        weights = None if manual is None else _weights(manual)
        fit = fit_ensemble(models, _sets(validation), _sets(data), weights, face_detector() if crop else None)
        if as_json:
            origin = provenance(fit.manifest.digest)
            for line in ensemble_json(fit):
                typer.echo(json.dumps({**line, "provenance": origin}))
            return
        for table in ensemble_tables(fit):
            table_console.print(table)
        typer.echo(ensemble_summary(fit))


def _sets(folders: list[Path]) -> list[Dataset]:
    return [part for dataset in read_datasets(folders) for part in by_source(dataset)]


def _weights(manual: str) -> dict[str, float]:
    weights = {}
    for part in manual.split(","):
        name, _, weight = part.partition("=")
        try:
            weights[name.strip()] = float(weight)
        except ValueError:
            raise RunError(f"--manual {manual}: {part!r} is not NAME=WEIGHT; give each model a number") from None
    return weights
