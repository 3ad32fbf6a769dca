"""`training evaluate`."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from training.commands.arguments import Data, errors_in_one_line, read_datasets, table_console
from worker.perception.manifest import MODELS


def evaluate(
    data: Data,
    models: Annotated[Path, typer.Option(help="The folder of the manifest.")] = MODELS,
    crop: Annotated[
        bool, typer.Option("--crop", help="Find the face first; without it, the picture is the face.")
    ] = False,
    framing: Annotated[
        bool, typer.Option("--framing", help="Measure again with the crop wider, narrower and shifted.")
    ] = False,
    without: Annotated[
        list[Path] | None,
        typer.Option(help="Leave out pictures whose pixels are also in here; may be given several times."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line for each DATA.")] = False,
) -> None:
    """Measure the models that the worker ships, through the worker's own code."""
    from training.measuring.evaluation import FRAMINGS, face_finder, pixel_digests
    from training.measuring.evaluation import evaluate as evaluate_ensemble
    from training.provenance import provenance
    from worker.perception.emotions import Ensemble

    with errors_in_one_line("training evaluate"):
        datasets, known = read_datasets(data), pixel_digests(read_datasets(without or []))
        ensemble = Ensemble.load(models, threads=len(os.sched_getaffinity(0)))
        find = face_finder() if crop else None
        origin = provenance(ensemble.manifest.digest)
        for dataset in datasets:
            evaluation = evaluate_ensemble(ensemble, dataset, find, known, FRAMINGS if framing else ())
            if as_json:
                typer.echo(json.dumps({**evaluation.to_json(), "provenance": origin}))
                continue
            table_console.print(evaluation.to_table())
            if (framings := evaluation.to_framing_table()) is not None:
                table_console.print(framings)
