"""`training audit`."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from training.commands.arguments import Crop, Data, Models, errors_in_one_line, read_datasets, table_console
from worker.perception.manifest import MODELS, EnsembleMode


def audit(
    data: Data,
    models: Models = MODELS,
    crop: Crop = False,
    ensemble: Annotated[
        EnsembleMode | None, typer.Option(help="Mode of the ensemble.", show_default="that of workers")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each of DATA.")] = False,
) -> None:
    """Measure accuracy and calibration for groups of pictures, with 95 % intervals.

    Groups are by size and brightness of the face, and by sex and angle in KDEF's file names.
    """
    from training.measuring.audit import audit as audit_dataset
    from training.measuring.audit_output import audit_table
    from training.measuring.crops import face_detector
    from training.provenance import provenance
    from worker.contract.cores import usable_cores
    from worker.perception.emotions import Ensemble

    with errors_in_one_line("training audit"):
        datasets, detect = read_datasets(data), face_detector() if crop else None
        loaded = Ensemble.load(models, threads=usable_cores(), mode=ensemble)
        mode, origin = ensemble or loaded.manifest.default_mode, provenance(loaded.manifest.digest)
        for dataset in datasets:
            audited = audit_dataset(loaded, mode, dataset, detect)
            if as_json:
                typer.echo(json.dumps({**asdict(audited), "provenance": origin}))
            else:
                table_console.print(audit_table(audited))
