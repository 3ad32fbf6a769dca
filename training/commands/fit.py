"""`training fit`."""

from pathlib import Path
from typing import Annotated

import typer

from training.commands.arguments import Data, Validation, errors_in_one_line, read_datasets
from training.datasets import Dataset, load_faces, refuse_shared_persons
from training.recipe import ModelName, Recipe, RunError

_SMALLEST_SIDE = 32  # MobileNetV2 halves the picture five times


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
    with errors_in_one_line("training fit"):
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
        train_sets, validation_sets = read_datasets(data), read_datasets(validation)
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


def _summary(dataset: Dataset) -> str:
    left_out = "".join(f", {count} {reason}" for reason, count in dataset.skipped.most_common())
    used = len(dataset.pictures) - sum(dataset.skipped[reason] for reason in ("unreadable", "also in validation"))
    return f"{dataset.name}: {used} pictures" + (f" (left out{left_out[1:]})" if left_out else "")
