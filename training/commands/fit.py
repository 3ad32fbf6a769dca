"""`training fit`."""

from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from training.commands.arguments import Data, Validation, errors_in_one_line, read_datasets
from training.datasets import Dataset, load_faces, refuse_shared_persons
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
    extend_run,
)
from worker.perception.preprocessing import Colour


def fit(
    data: Data,
    validation: Validation,
    model: Annotated[ModelName, typer.Option(help="Which network.")],
    out: Annotated[Path, typer.Option(help="Folder of this fit; the same command goes on where it was killed.")],
    weights: Annotated[
        str,
        typer.Option(
            help="Start from imagenet (downloaded), a .npz (folded), a .tflite (quantized), a .keras or RUN (an "
            "earlier fit), or none."
        ),
    ] = "none",
    tune: Annotated[
        str, typer.Option(help="Layers that learn: all, head, or so many of the last before the head.")
    ] = "all",
    epochs: Annotated[int, typer.Option(min=1)] = Recipe.epochs,
    batch: Annotated[int, typer.Option(min=2)] = Recipe.batch,
    size: Annotated[int, typer.Option(min=1, help="Side in pixels that the network sees.")] = Recipe.size,
    colour: Annotated[Colour, typer.Option()] = Recipe.colour,
    optimizer: Annotated[Optimizer, typer.Option()] = Recipe.optimizer,
    learning_rate: Annotated[float, typer.Option(min=0.0)] = Recipe.learning_rate,
    schedule: Annotated[
        Schedule, typer.Option(help="Learning rate: one cosine, or a tenth where --monitor stays on a plateau.")
    ] = Recipe.schedule,
    monitor: Annotated[Monitor, typer.Option(help="What the epoch that is kept is best at.")] = Recipe.monitor,
    patience: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many epochs without improvement.", show_default="never")
    ] = Recipe.patience,
    augmentation: Annotated[
        Augmentation, typer.Option(help="crop: as faces come out of a detector. study: further turned and shifted.")
    ] = Recipe.augmentation,
    standardization: Annotated[
        Literal["fixed", "featurewise"], typer.Option(help="Pixels to [-1, 1], or by the training pictures.")
    ] = Recipe.standardization,
    vote_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="How much the votes of the index count beside its labels.")
    ] = Recipe.vote_share,
    teacher: Annotated[
        list[str] | None, typer.Option(help="RUN of a finished fit to learn from; may be given several times.")
    ] = None,
    targets: Annotated[
        Path | None,
        typer.Option(
            help="FILE.npz of soft targets to learn from: origin, and [n, 7] probabilities.", show_default=False
        ),
    ] = None,
    label_smoothing: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Share of every target that is spread evenly over the emotions.")
    ] = Recipe.label_smoothing,
    mixup: Annotated[
        float, typer.Option(min=0.0, help="Alpha of the shares in which pictures are mixed in pairs; 0 mixes none.")
    ] = Recipe.mixup,
    ema: Annotated[
        float | None, typer.Option(min=0.0, max=0.99999, help="Momentum of averaged weights.", show_default="none")
    ] = Recipe.ema,
    precision: Annotated[Precision, typer.Option()] = Recipe.precision,
    seed: Annotated[int, typer.Option(min=0)] = Recipe.seed,
    extend: Annotated[
        bool,
        typer.Option(
            "--extend", help="Train the fit in --out for more epochs: --epochs in all, on a schedule as long."
        ),
    ] = False,
) -> None:
    """Fit a network on labelled face pictures."""
    with errors_in_one_line("training fit"):
        recipe = Recipe(
            model=model,
            size=_size(size, model),
            colour=colour,
            epochs=epochs,
            batch=batch,
            optimizer=optimizer,
            learning_rate=learning_rate,
            schedule=schedule,
            monitor=monitor,
            patience=patience,
            vote_share=vote_share,
            teachers=teacher or [],
            targets=None if targets is None else str(targets),
            label_smoothing=label_smoothing,
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
        train_sets, validation_sets = read_datasets(data), read_datasets(validation)
        refuse_shared_persons(train_sets, validation_sets)
        validation_faces = load_faces(validation_sets, recipe.size, recipe.colour)
        train_faces = load_faces(train_sets, recipe.size, recipe.colour, without=frozenset(validation_faces.digests))
        for dataset in (*train_sets, *validation_sets):
            typer.echo(_summary(dataset))
        if extend:
            extend_run(out, recipe)
        from training.silence import tensorflow_silenced

        with tensorflow_silenced():
            from training.fit import fit as fit_network
        fitted = fit_network(recipe, train_faces, validation_faces, out)
        typer.echo(f"fitted network: {fitted}; next: training quantize {out} DATA... --validation DATA")


def _size(size: int, model: ModelName) -> int:
    if size < SMALLEST_SIDE[model]:
        raise RunError(f"--size {size}: {model} takes pictures of at least {SMALLEST_SIDE[model]} pixels; ask for more")
    return size


def _weights(weights: str) -> str | None:
    if weights not in ("none", IMAGENET) and not Path(weights).exists():
        raise RunError(f"--weights {weights}: no such file; name one, or say imagenet or none")
    return None if weights == "none" else weights


def _tune(tune: str) -> Literal["all", "head"] | int:
    if tune in ("all", "head"):
        return cast(Literal["all", "head"], tune)
    if tune.isascii() and tune.isdigit():
        return int(tune)
    raise RunError(f"--tune {tune}: say all, head, or a number of layers")


def _summary(dataset: Dataset) -> str:
    left_out = "".join(f", {count} {reason}" for reason, count in dataset.skipped.most_common())
    used = len(dataset.pictures) - sum(dataset.skipped[reason] for reason in ("unreadable", "also in validation"))
    return f"{dataset.name}: {used} pictures" + (f" (left out{left_out[1:]})" if left_out else "")
