"""What the commands of `training` have in common: the arguments that name data, and how their errors are told."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from training.datasets import Dataset, DatasetError, read_dataset
from training.recipe import RunError
from worker.perception.manifest import ManifestError

Data = Annotated[
    list[Path],
    typer.Argument(
        help="Folders of class-named folders, of KDEF file names, or splits of a prepared set.", show_default=False
    ),
]
Validation = Annotated[
    list[Path], typer.Option("--validation", help="Labelled pictures to measure on; may be given several times.")
]

table_console = Console(width=None if sys.stdout.isatty() else 160)


@contextmanager
def errors_in_one_line(command: str) -> Iterator[None]:
    try:
        yield
    except (DatasetError, RunError, ManifestError) as error:
        typer.echo(f"{command}: {error}", err=True)
    except ModuleNotFoundError as missing:
        if missing.name not in ("jax", "keras", "tensorflow", "torch"):
            raise
        typer.echo(f"{command}: {missing.name} is not installed; run: pip install 'lecturepulse[training]'", err=True)
    else:
        return
    raise typer.Exit(2)


def read_datasets(folders: list[Path]) -> list[Dataset]:
    return [read_dataset(folder) for folder in folders]


def as_one(datasets: list[Dataset]) -> Dataset:
    return Dataset(
        " + ".join(dataset.name for dataset in datasets),
        [picture for dataset in datasets for picture in dataset.pictures],
    )
