"""`training teach`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from training.commands.arguments import Data, errors_in_one_line, read_datasets
from training.recipe import RunError


def teach(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="Network of seven outputs: a .keras file, or the --out of a fit.", show_default=False
        ),
    ],
    data: Data,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="The .npz. Other teachers of the same DATA in it are kept.", show_default=False
        ),
    ],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of this teacher in FILE.", show_default="that of MODEL")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Side of its input in pixels.", show_default="the network's own"),
    ] = None,
    colour: Annotated[
        Literal["grey", "rgb", "bgr"] | None,
        typer.Option(help="Colour and order of its input.", show_default="rgb, or grey"),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            metavar="X[,X,X]", help="Subtracted from pixels of 0 to 255; one, or one a channel.", show_default="127.5"
        ),
    ] = None,
    std: Annotated[
        float | None, typer.Option(metavar="X", min=1e-6, help="Then divides them.", show_default="127.5")
    ] = None,
) -> None:
    """Write soft targets for `fit --targets`: what a network predicts for the pictures of a prepared set.

    Each is the mean over two crops of the picture and their mirror images. In a fit, they replace a part of each label.
    So leave out sets that are to be learned from their own labels.
    """
    with errors_in_one_line("training teach"):
        means = None if mean is None else _numbers(mean)
        datasets = read_datasets(data)
        from training.silence import tensorflow_silenced

        with tensorflow_silenced():
            from training.fitting.teaching import load_teacher
            from training.fitting.teaching import teach as write_targets

            teacher = load_teacher(model, size, colour, means, std)
        written = write_targets(teacher, datasets, name or model.stem, out)
        typer.echo(f"wrote {written} soft targets of {name or model.stem} to {out}; next: training fit --targets {out}")


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise RunError(f"--mean {text}: not numbers; give one, or one for each channel: 103.9,116.8,123.7") from None
