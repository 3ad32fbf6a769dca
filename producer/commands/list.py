"""`producer list`."""

import sys

import typer

from producer.commands.arguments import RedisOption
from producer.commands.connecting import connected
from producer.reading.lectures import list_lectures as stored_lectures
from producer.terminal.tables import lectures_table

# Columns of output that goes to no terminal: wider than the longest source and name, so that no line is cut.
FILE_COLUMNS = 1000


def list_lectures(redis: RedisOption = None) -> None:
    """List the stored lectures, the oldest first."""
    with connected(redis) as (client, _):
        lectures = stored_lectures(client)
    if not lectures:
        typer.echo("no lectures")
        return
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else FILE_COLUMNS).print(lectures_table(lectures))
