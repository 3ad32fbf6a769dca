"""`training fit`."""

from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from training.commands.arguments import Data, Validation, errors_in_one_line, read_datasets
from training.datasets import Dataset, left_out, load_faces, refuse_shared_persons
from training.recipe import (
    IMAGENET,
    SMALLEST_SIDE,
    Augmentation,
    ModelName,
    Monitor,
    Optimizer,
    Precision,
    Recipe,
    RunError,
    Schedule,
    Tune,
)
from training.run import extend_run, network_file, read_recipe
from worker.perception.preprocessing import Colour


def fit(
    data: Data,
    validation: Validation,
    model: Annotated[
        ModelName, typer.Option(help="Architecture of the network; mobilenetv1 only teaches.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="RUN", help="Folder of this fit. The same command resumes a killed fit.", show_default=False
        ),
    ],
    weights: Annotated[
        str,
        typer.Option(
            metavar="WEIGHTS",
            help="Start: imagenet (downloaded), a .npz (folded), a .tflite (quantized), a .keras or RUN (an earlier "
            "fit), or none.",
        ),
    ] = "none",
    tune: Annotated[
        str, typer.Option(metavar="LAYERS", help="Layers that learn: all, head, or a number of layers before the head.")
    ] = "all",
    epochs: Annotated[int, typer.Option(metavar="N", min=1, help="Epochs at most.")] = Recipe.epochs,
    batch: Annotated[int, typer.Option(metavar="N", min=2, help="Pictures per step.")] = Recipe.batch,
    size: Annotated[int, typer.Option(metavar="N", min=1, help="Side in pixels of the network's input.")] = Recipe.size,
    colour: Annotated[Colour, typer.Option(help="Colour of the network's input.")] = Recipe.colour,
    optimizer: Annotated[Optimizer, typer.Option(help="Optimizer.")] = Recipe.optimizer,
    learning_rate: Annotated[
        float, typer.Option(metavar="X", min=0.0, help="Highest learning rate.")
    ] = Recipe.learning_rate,
    schedule: Annotated[
        Schedule, typer.Option(help="Learning rate: one cosine, or a tenth when --monitor no longer improves.")
    ] = Recipe.schedule,
    monitor: Annotated[Monitor, typer.Option(help="Metric that chooses the epoch to keep.")] = Recipe.monitor,
    patience: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Stop after N epochs without improvement.", show_default="never"),
    ] = Recipe.patience,
    augmentation: Annotated[
        Augmentation,
        typer.Option(help="Small changes, as between a detector's crops, or the study's larger ones."),
    ] = Recipe.augmentation,
    standardization: Annotated[
        Literal["fixed", "featurewise"],
        typer.Option(help="Pixels to [-1, 1], or by mean and deviation of the training set."),
    ] = Recipe.standardization,
    vote_share: Annotated[
        float, typer.Option(metavar="X", min=0.0, max=1.0, help="Share of a target that comes from the index's votes.")
    ] = Recipe.vote_share,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Finished fit that teaches: its predictions and features for the same augmented picture are learned.",
            show_default=False,
        ),
    ] = None,
    targets: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help=".npz of soft targets to learn from: origin, and arrays [n, 7].", show_default=False
        ),
    ] = None,
    label_smoothing: Annotated[
        float,
        typer.Option(metavar="X", min=0.0, max=0.9, help="Share of a target that is spread evenly over the emotions."),
    ] = Recipe.label_smoothing,
    logit_adjustment: Annotated[
        float,
        typer.Option(
            metavar="X", min=0.0, max=3.0, help="Learn rare emotions as if all were equally frequent (1); 0: do not."
        ),
    ] = Recipe.logit_adjustment,
    mixup: Annotated[
        float, typer.Option(metavar="X", min=0.0, help="Mix pictures in pairs, in shares from Beta(X, X). 0: do not.")
    ] = Recipe.mixup,
    ema: Annotated[
        float | None,
        typer.Option(metavar="X", min=0.0, max=0.99999, help="Momentum of averaged weights.", show_default="none"),
    ] = Recipe.ema,
    precision: Annotated[Precision, typer.Option(help="Precision of the computation.")] = Recipe.precision,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Decides every random draw.")] = Recipe.seed,
    extend: Annotated[
        bool, typer.Option("--extend", help="Train the fit in --out for more epochs: --epochs in all.")
    ] = False,
) -> None:
    """Fit a network on labelled face pictures."""
    with errors_in_one_line("training fit"):
        if size < (least := SMALLEST_SIDE[model]):
            raise RunError(f"--size {size}: {model} takes pictures of at least {least} pixels; ask for more")
        recipe = Recipe(
            model=model,
            size=size,
            colour=colour,
            epochs=epochs,
            batch=batch,
            optimizer=optimizer,
            learning_rate=learning_rate,
            schedule=schedule,
            monitor=monitor,
            patience=patience,
            vote_share=vote_share,
            teacher=teacher,
            targets=None if targets is None else str(targets),
            label_smoothing=label_smoothing,
            logit_adjustment=logit_adjustment,
            mixup=mixup,
            augmentation=augmentation,
            standardization=standardization,
            tune=_tune(tune),
            ema=ema,
            precision=precision,
            seed=seed,
            weights=_weights(weights),
            train=[str(folder) for folder in data],
            validation=[str(folder) for folder in validation],
        )
        taught_by = None if teacher is None else _teacher(teacher)
        train_sets, validation_sets = read_datasets(data), read_datasets(validation)
        refuse_shared_persons(train_sets, validation_sets)
        validation_faces = load_faces(validation_sets, recipe.size, recipe.colour)
        without = frozenset(validation_faces.digests)
        train_faces = load_faces(train_sets, recipe.size, recipe.colour, without)
        for dataset in (*train_sets, *validation_sets):
            typer.echo(_summary(dataset))
        for_teacher = None
        if taught_by is not None:
            for_teacher = load_faces(read_datasets(data), taught_by.size, taught_by.colour, without).pixels
        if extend:
            extend_run(out, recipe)
        from training.silence import tensorflow_silenced

        with tensorflow_silenced():
            from training.fitting.fit import fit as fit_network
        file = fit_network(recipe, train_faces, validation_faces, out, for_teacher)
        typer.echo(f"fitted network: {file}; next: training quantize {out} DATA... --validation DATA")


def _weights(weights: str) -> str | None:
    if weights not in ("none", IMAGENET) and not Path(weights).exists():
        raise RunError(f"--weights {weights}: no such file; name one, or say imagenet or none")
    return None if weights == "none" else weights


def _teacher(run: str) -> Recipe:
    """The recipe of a finished fit."""
    try:
        recipe = read_recipe(Path(run))
    except RunError as failure:
        raise RunError(f"--teacher {failure}") from None
    if not network_file(Path(run), recipe.model).is_file():
        raise RunError(f"--teacher {run}: holds no network; let its `training fit` finish first")
    return recipe


def _tune(tune: str) -> Tune:
    if tune in ("all", "head"):
        return cast(Tune, tune)
    if tune.isascii() and tune.isdigit():
        return int(tune)
    raise RunError(f"--tune {tune}: not a choice of layers; say all, head, or a number of layers")


def _summary(dataset: Dataset) -> str:
    used = len(dataset.pictures) - sum(dataset.skipped[reason] for reason in ("unreadable", "also in validation"))
    return f"{dataset.name}: {used} pictures{left_out(dataset.skipped)}"
