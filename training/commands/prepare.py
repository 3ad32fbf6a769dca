"""`training prepare`."""

from collections import defaultdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from training.commands.arguments import errors_in_one_line, table_console
from training.datasets.labels import NO_EMOTION
from training.preparing.cropping import DetectorName
from training.preparing.prepare import Preparation
from training.preparing.prepare import prepare as prepare_set
from training.preparing.prepared_set import PreparedSet
from training.preparing.record import Removal
from training.preparing.selection.splits import Balance
from worker.contract.messages import EMOTIONS

_CLASSES_NAMED = 8  # unknown classes that the table names


def prepare(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE",
            help="Class folders, KDEF, CK+, RAF-DB, AffectNet, FER-2013 (folders or csv), or a prepared set.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The set: a new folder.", show_default=False)],
    validation: Annotated[
        list[Path], typer.Option(metavar="SOURCE", help="For validation only. Can be repeated.")
    ] = [],  # noqa: B006  # typer copies it
    test: Annotated[list[Path], typer.Option(metavar="SOURCE", help="For testing only. Can be repeated.")] = [],  # noqa: B006
    validation_share: Annotated[
        float,
        typer.Option(metavar="X", min=0.0, max=0.9, help="Validation part of a source that has none."),
    ] = Preparation.validation_share,
    votes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="FER+'s csv of votes on pictures of FER-2013.")
    ] = None,
    find_faces: Annotated[
        bool, typer.Option("--find-faces", help="Detect faces in the pictures of class folders, too.")
    ] = False,
    detector: Annotated[DetectorName, typer.Option(help="Face detector.")] = Preparation.detector,
    cap: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="At most N training pictures of each emotion.")
    ] = None,
    balance: Annotated[
        Balance, typer.Option(help="weights: all emotions have the same total weight in training.")
    ] = Preparation.balance,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Decides every random draw.")] = Preparation.seed,
) -> None:
    """Make a prepared set out of face data.

    Its pictures are cut, cleaned, split by person and balanced.
    """
    with errors_in_one_line("training prepare"):
        prepared = prepare_set(
            Preparation(
                sources=tuple(sources),
                validation=tuple(validation),
                test=tuple(test),
                validation_share=validation_share,
                votes=votes,
                find_faces=find_faces,
                detector=detector,
                cap=cap,
                balance=balance,
                seed=seed,
            ),
            out,
        )
        table_console.print(_pictures_table(prepared))
        if prepared.removals:
            table_console.print(_removals_table(prepared.removals))
        typer.echo(f"next: training fit {out / 'train'} --validation {out / 'validation'}")


def _pictures_table(prepared: PreparedSet) -> Table:
    """The pictures of each split, by emotion and by source."""
    numbers = (Column(heading, justify="right") for heading in ("all", *EMOTIONS))
    table = Table("split", *numbers, "of", title=f"{prepared.folder}: pictures")
    for split, counts in prepared.counts.items():
        sources = [f"{of[split]} {name}" for name, of in prepared.sources.items() if split in of]
        cells = [str(counts.get(emotion, 0)) for emotion in EMOTIONS]
        table.add_row(split, str(sum(counts.values())), *cells, ", ".join(sources))
    return table


def _removals_table(removals: tuple[Removal, ...]) -> Table:
    """The number of removed pictures for each source and reason, with an example."""
    headings = ("source", "reason", Column("pictures", justify="right"), "for example")
    table = Table(*headings, title=f"{len(removals)} pictures removed (all of them: removed.csv)")
    of_reason = defaultdict(list)
    for removal in removals:
        of_reason[removal.source, removal.reason].append(removal)
    for (source, reason), removed in sorted(of_reason.items()):
        table.add_row(source, reason, str(len(removed)), _example(reason, removed))
    return table


def _example(reason: str, removed: list[Removal]) -> str:
    if reason != NO_EMOTION:
        return f"{removed[0].origin} {removed[0].detail}".strip()
    folders = sorted({removal.detail or "no folder" for removal in removed})
    more = f" and {len(folders) - _CLASSES_NAMED} more" if folders[_CLASSES_NAMED:] else ""
    return "in " + ", ".join(folders[:_CLASSES_NAMED]) + more
