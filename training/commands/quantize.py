"""`training quantize`."""

from pathlib import Path
from typing import Annotated

import typer

from training.commands.arguments import Data, Validation, as_one, errors_in_one_line, read_datasets, table_console
from worker.perception.manifest import MODELS, Form


def quantize(
    run: Annotated[Path, typer.Argument(help="The --out of a `training fit`.", show_default=False)],
    data: Data,
    validation: Validation,
    form: Annotated[Form, typer.Option(help="Which form is installed.")] = "int8",
    models: Annotated[Path, typer.Option(help="The folder it goes to, with its manifest.")] = MODELS,
    work: Annotated[
        Path | None, typer.Option(help="Where all forms are kept. [default: RUN/quantized]", show_default=False)
    ] = None,
    max_loss: Annotated[float, typer.Option(min=0.0, max=1.0, help="Accuracy it may lose against float32.")] = 0.007,
) -> None:
    """Convert a fitted network to every TFLite form, measure them, and install one."""
    with errors_in_one_line("training quantize"):
        train_sets, validation_set = read_datasets(data), as_one(read_datasets(validation))
        from training.conversion import convert as quantization

        work = work or run / "quantized"
        made = quantization.make_forms(run, train_sets, work)
        figures = quantization.measure_forms(made, work, validation_set)
        name = made[0].training["recipe"]["model"]
        table_console.print(quantization.forms_table(name, figures))
        try:
            quantization.refuse_loss(form, figures, max_loss)
        except quantization.AccuracyLost as lost:
            typer.echo(f"training quantize: {lost}", err=True)
            raise typer.Exit(1) from None
        (chosen,) = [entry for entry in made if entry.quantization == form]
        manifest = quantization.install(name, chosen, work, models, validation_set, figures)
        typer.echo(f"installed {models / chosen.file}; temperature {manifest.temperature:g}")
