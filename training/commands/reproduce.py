"""`training reproduce`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from training.commands.arguments import errors_in_one_line
from training.recipe import RunError


def reproduce(
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder of the public sets: affectnet, kdef, fer2013, rafdb, ckplus48.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder of everything that is made. The same command resumes.", show_default=False
        ),
    ],
    phase: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=3, help="One of the study's trainings.", show_default=False)
    ] = None,
    recipe: Annotated[
        Literal["shipped"] | None, typer.Option(help="The training of the shipped models.", show_default=False)
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the shipped models. [default: OUT/models]", show_default=False),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="At most N epochs per fit.", show_default=False)
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=7, help="About N pictures of each split, for a rehearsal.", show_default=False),
    ] = None,
) -> None:
    """Repeat a training of the study or of the shipped models."""
    with errors_in_one_line("training reproduce"):
        if (phase is None) == (recipe is None):
            raise RunError("one training at a time; say either --phase 1, 2 or 3, or --recipe shipped")
        if phase is not None and models is not None:
            raise RunError(f"--models {models} is for --recipe shipped; leave it out")
        from training.reproduce import reproduce_phase, reproduce_shipped

        if phase is not None:
            table = reproduce_phase(phase, data, out, typer.echo, epochs, limit)
            typer.echo(table.read_text(encoding="utf-8"))
            return
        status = reproduce_shipped(data, out, models or out / "models", typer.echo, epochs, limit)
        if status:
            raise typer.Exit(status)
