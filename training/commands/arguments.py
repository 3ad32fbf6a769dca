"""The arguments that several commands share, and the form of their errors."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from training.datasets import Dataset, DatasetError, read_dataset
from training.recipe import RunError
from worker.contract.command_line import print_error
from worker.perception.manifest import ManifestError

Data = Annotated[
    list[Path],
    typer.Argument(
        metavar="DATA",
        help="Folders of class folders, folders of KDEF's file names, or splits of a prepared set.",
        show_default=False,
    ),
]
Validation = Annotated[
    list[Path],
    typer.Option(
        "--validation", metavar="DATA", help="Labelled pictures to measure on. Can be repeated.", show_default=False
    ),
]
Models = Annotated[
    Path,
    typer.Option(metavar="DIR", help="Folder of the models and their manifest.", show_default="that of the worker"),
]
Crop = Annotated[bool, typer.Option("--crop", help="Detect the face first. Without this, a picture is a crop already.")]

table_console = Console(width=None if sys.stdout.isatty() else 160)


@contextmanager
def errors_in_one_line(command: str) -> Iterator[None]:
    """Report an error that the user can act on as `COMMAND: WHAT; what to do`, and exit with 2."""
    try:
        yield
    except (DatasetError, RunError, ManifestError) as error:
        print_error(command, error)
    except ModuleNotFoundError as missing:
        if missing.name not in ("jax", "keras", "tensorflow", "torch"):
            raise
        print_error(command, f"{missing.name} is not installed; run: pip install 'lecturepulse[training]'")
    except UnicodeEncodeError as wrong:
        print_error(command, f"{wrong.object[:100]!r} is not text in this locale; rename it, or set LC_ALL=C.UTF-8")
    else:
        return
    raise typer.Exit(2)


def read_datasets(folders: list[Path]) -> list[Dataset]:
    """The dataset of each folder; DatasetError if one cannot be read."""
    return [read_dataset(folder) for folder in folders]
