"""`producer list`."""

import sys

import typer

from producer.archive.lecture import ArchiveDamaged
from producer.commands.arguments import ArchiveOption, RedisOption
from producer.commands.connecting import connected_cells
from producer.reading.lectures import all_lectures
from producer.saying import say
from producer.terminal.tables import lectures_table
from worker.contract.command_line import LogLevel

# Columns of output that goes to no terminal: wider than the longest source and name, so that no line is cut.
FILE_COLUMNS = 1000


def list_lectures(redis: RedisOption = None, archive: ArchiveOption = None) -> None:
    """List the stored lectures, the oldest first."""
    with connected_cells(redis, archive=archive) as cells:
        lectures, down = all_lectures(cells)
    if lectures:
        from rich.console import Console

        Console(width=None if sys.stdout.isatty() else FILE_COLUMNS).print(lectures_table(lectures))
    elif not down:
        typer.echo("no lectures")
    for each in down:
        say(
            each if isinstance(each, ArchiveDamaged) else f"{each}; the lectures that only it has are not listed",
            LogLevel.ERROR,
        )
    if down:
        raise typer.Exit(1)
