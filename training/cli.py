"""The command `training`: make, quantize and measure the models that the worker runs."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from training.datasets import Dataset, DatasetError, load_faces, read_dataset, refuse_shared_persons
from training.recipe import ModelName, Recipe, RunError
from worker.manifest import MODELS, Form, ManifestError

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)

Data = Annotated[
    list[Path], typer.Argument(help="Folders of class-named folders, or of KDEF file names.", show_default=False)
]
Validation = Annotated[
    list[Path], typer.Option("--validation", help="Labelled pictures to measure on; may be given several times.")
]

_SMALLEST_SIDE = 32  # MobileNetV2 halves the picture five times

_table_console = Console(width=None if sys.stdout.isatty() else 160)


@app.command()
def fit(
    data: Data,
    validation: Validation,
    model: Annotated[ModelName, typer.Option(help="Which network.")],
    out: Annotated[Path, typer.Option(help="Folder of this fit; the same command goes on where it was killed.")],
    weights: Annotated[
        Path | None, typer.Option(help="Start from .npz (folded ImageNet) or .keras (an earlier fit).")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1)] = Recipe.epochs,
    batch: Annotated[int, typer.Option(min=2)] = Recipe.batch,
    learning_rate: Annotated[float, typer.Option(min=0.0)] = Recipe.learning_rate,
    size: Annotated[int, typer.Option(min=_SMALLEST_SIDE, help="Side in pixels that the network sees.")] = Recipe.size,
    seed: Annotated[int, typer.Option(min=0)] = Recipe.seed,
) -> None:
    """Fit a network on labelled face pictures."""
    with _errors_in_one_line("training fit"):
        if weights is not None and not weights.is_file():
            raise RunError(f"--weights {weights}: no such file")
        recipe = Recipe(
            model=model,
            size=size,
            epochs=epochs,
            batch=batch,
            learning_rate=learning_rate,
            seed=seed,
            weights=None if weights is None else str(weights),
            train=[str(folder) for folder in data],
            validation=[str(folder) for folder in validation],
        )
        train_sets, validation_sets = _read(data), _read(validation)
        refuse_shared_persons(train_sets, validation_sets)
        validation_faces = load_faces(validation_sets, recipe.size, recipe.colour)
        train_faces = load_faces(train_sets, recipe.size, recipe.colour, without=frozenset(validation_faces.digests))
        for dataset in (*train_sets, *validation_sets):
            typer.echo(_summary(dataset))
        from training.silence import tensorflow_silenced

        with tensorflow_silenced():
            from training.fit import fit as fit_network
        fitted = fit_network(recipe, train_faces, validation_faces, out)
        typer.echo(f"fitted network: {fitted}; next: training quantize {out} DATA... --validation DATA")


@app.command()
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
    with _errors_in_one_line("training quantize"):
        train_sets, validation_set = _read(data), _as_one(_read(validation))
        from training import quantize as quantization

        work = work or run / "quantized"
        made = quantization.make_forms(run, train_sets, work)
        figures = quantization.measure_forms(made, work, validation_set)
        name = made[0].training["recipe"]["model"]
        _table_console.print(quantization.forms_table(name, figures))
        try:
            quantization.refuse_loss(form, figures, max_loss)
        except quantization.AccuracyLost as lost:
            typer.echo(f"training quantize: {lost}", err=True)
            raise typer.Exit(1) from None
        (chosen,) = [entry for entry in made if entry.quantization == form]
        manifest = quantization.install(name, chosen, work, models, validation_set, figures)
        typer.echo(f"installed {models / chosen.file}; temperature {manifest.temperature:g}")


@app.command()
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

    with _errors_in_one_line("training evaluate"):
        datasets = _read(data)
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
                _table_console.print(evaluation.to_table())


@contextmanager
def _errors_in_one_line(command: str) -> Iterator[None]:
    try:
        yield
    except (DatasetError, RunError, ManifestError) as error:
        typer.echo(f"{command}: {error}", err=True)
    except ModuleNotFoundError as missing:
        if missing.name not in ("keras", "tensorflow"):
            raise
        typer.echo(f"{command}: {missing.name} is not installed; run: pip install 'lecturepulse[training]'", err=True)
    else:
        return
    raise typer.Exit(2)


def _read(folders: list[Path]) -> list[Dataset]:
    return [read_dataset(folder) for folder in folders]


def _as_one(datasets: list[Dataset]) -> Dataset:
    return Dataset(
        " + ".join(dataset.name for dataset in datasets),
        [picture for dataset in datasets for picture in dataset.pictures],
    )


def _summary(dataset: Dataset) -> str:
    left_out = "".join(f", {count} {reason}" for reason, count in dataset.skipped.most_common())
    used = len(dataset.pictures) - sum(dataset.skipped[reason] for reason in ("unreadable", "also in validation"))
    return f"{dataset.name}: {used} pictures" + (f" (left out{left_out[1:]})" if left_out else "")
