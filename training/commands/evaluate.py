"""`training evaluate`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from training.commands.arguments import Data, errors_in_one_line, read_datasets, table_console
from worker.manifest import MODELS


def evaluate(
    data: Data,
    models: Annotated[Path, typer.Option(help="The folder of the manifest.")] = MODELS,
    crop: Annotated[
        bool, typer.Option("--crop", help="Find the face first; without it, the picture is the face.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line for each DATA.")] = False,
) -> None:
    """Measure the models that the worker ships, through the worker's own code."""
    from training.evaluate import biggest_face
    from training.evaluate import evaluate as evaluate_ensemble
    from worker.emotions import Ensemble

    with errors_in_one_line("training evaluate"):
        datasets = read_datasets(data)
        ensemble = Ensemble.load(models)
        cut = None
        if crop:
            from worker.faces import FaceFinder

            cut = biggest_face(FaceFinder().find_in_picture)
        for dataset in datasets:
            evaluation = evaluate_ensemble(ensemble, dataset, cut)
            if as_json:
                typer.echo(json.dumps(evaluation.to_json()))
            else:
                table_console.print(evaluation.to_table())
