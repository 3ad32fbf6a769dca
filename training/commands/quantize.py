"""`training quantize`."""

from pathlib import Path
from typing import Annotated

import typer

from training.commands.arguments import Data, Models, Validation, errors_in_one_line, read_datasets, table_console
from training.datasets import Dataset
from worker.contract.command_line import print_error
from worker.perception.manifest import MODELS, Form


def quantize(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The --out of a `training fit`.", show_default=False)],
    data: Data,
    validation: Validation,
    form: Annotated[Form, typer.Option(help="The form to install.")] = "int8",
    models: Models = MODELS,
    work: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of all forms. [default: RUN/quantized]", show_default=False),
    ] = None,
    max_loss: Annotated[
        float,
        typer.Option(metavar="X", min=0.0, max=1.0, help="Accuracy that the form may lose against float32."),
    ] = 0.007,
) -> None:
    """Convert a fitted network to TFLite and install it.

    Every form is made and measured, and one is installed.
    """
    with errors_in_one_line("training quantize"):
        train_sets, validation_set = read_datasets(data), _as_one(read_datasets(validation))
        from training.conversion.convert import make_forms
        from training.conversion.forms import excessive_loss, forms_table, install, measure_forms

        work = work or run / "quantized"
        made = make_forms(run, train_sets, work)
        metrics = measure_forms(made, work, validation_set)
        name = made[0].training["recipe"]["model"]
        table_console.print(forms_table(name, metrics))
        if (refusal := excessive_loss(form, metrics, max_loss)) is not None:
            print_error("training quantize", refusal)
            raise typer.Exit(1)
        (chosen,) = [entry for entry in made if entry.quantization == form]
        manifest = install(name, chosen, work, models, validation_set, metrics)
        typer.echo(f"installed {models / chosen.file}; temperature {manifest.temperature:g}")


def _as_one(datasets: list[Dataset]) -> Dataset:
    """All pictures in one dataset."""
    return Dataset(
        " + ".join(dataset.name for dataset in datasets),
        [picture for dataset in datasets for picture in dataset.pictures],
    )
