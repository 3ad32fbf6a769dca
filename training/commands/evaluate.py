"""`training evaluate`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from training.commands.arguments import Crop, Data, Models, errors_in_one_line, read_datasets, table_console
from worker.perception.manifest import MODELS


def evaluate(
    data: Data,
    models: Models = MODELS,
    crop: Crop = False,
    framing: Annotated[
        bool, typer.Option("--framing", help="Measure again with crops that are wider, narrower and shifted.")
    ] = False,
    without: Annotated[
        list[Path] | None,
        typer.Option(metavar="DATA", help="Leave out pictures that are also in this folder. Can be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each of DATA.")] = False,
) -> None:
    """Measure the shipped models on labelled pictures."""
    from training.measuring.crops import face_detector, pixel_digests
    from training.measuring.evaluation import evaluate as evaluate_ensemble
    from training.measuring.evaluation_output import evaluation_json, framing_table, metrics_table
    from training.measuring.framing import FRAMINGS
    from training.provenance import provenance
    from worker.contract.cores import usable_cores
    from worker.perception.emotions import Ensemble

    with errors_in_one_line("training evaluate"):
        datasets, known = read_datasets(data), pixel_digests(read_datasets(without or []))
        ensemble = Ensemble.load(models, threads=usable_cores())
        detect = face_detector() if crop else None
        origin = provenance(ensemble.manifest.digest)
        for dataset in datasets:
            evaluation = evaluate_ensemble(ensemble, dataset, detect, known, FRAMINGS if framing else ())
            if as_json:
                typer.echo(json.dumps({**evaluation_json(evaluation), "provenance": origin}))
                continue
            table_console.print(metrics_table(evaluation, "model", recalls=True))
            if (framings := framing_table(evaluation)) is not None:
                table_console.print(framings)
