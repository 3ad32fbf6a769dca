"""`training ensemble`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from training.commands.arguments import Data, Validation, errors_in_one_line, read_datasets, table_console
from training.datasets import Dataset, by_source
from training.recipe import RunError
from worker.perception.manifest import MODELS


def ensemble(
    data: Data,
    validation: Validation,
    models: Annotated[Path, typer.Option(help="The folder of the models and their manifest.")] = MODELS,
    manual: Annotated[
        str | None, typer.Option(metavar="NAME=WEIGHT,...", help="Weights set by hand, to compare with the others.")
    ] = None,
    crop: Annotated[
        bool, typer.Option("--crop", help="Find the face first; without it, the picture is the face.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line for each dataset, and one for what was chosen.")
    ] = False,
) -> None:
    """Weigh the models on the --validation sets, show how each way does on these and on DATA, and keep the best.

    Each set counts the same, and so does each of those that a prepared set was made of.
    """
    from training.measuring.evaluation import face_finder
    from training.provenance import provenance
    from training.weighing.ensemble import fit_ensemble

    with errors_in_one_line("training ensemble"):
        by_hand = None if manual is None else _weights(manual)
        find = face_finder() if crop else None
        fit = fit_ensemble(models, _sets(validation), _sets(data), by_hand, find)
        if as_json:
            origin = provenance(fit.manifest.digest)
            for line in fit.to_json():
                typer.echo(json.dumps({**line, "provenance": origin}))
            return
        for table in fit.to_tables():
            table_console.print(table)
        typer.echo(fit.summary())


def _sets(folders: list[Path]) -> list[Dataset]:
    return [part for dataset in read_datasets(folders) for part in by_source(dataset)]


def _weights(manual: str) -> dict[str, float]:
    weights = {}
    for part in manual.split(","):
        name, _, weight = part.partition("=")
        try:
            weights[name.strip()] = float(weight)
        except ValueError:
            raise RunError(f"--manual {manual}: {part!r} is not NAME=WEIGHT") from None
    return weights
