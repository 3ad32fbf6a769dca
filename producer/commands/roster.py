"""`producer roster`."""

from pathlib import Path
from typing import Annotated

import typer

from producer.commands.arguments import LectureArgument, RedisOption
from producer.commands.connecting import connected
from producer.reading.analysis.names import RosterRefused


def roster(
    lecture: LectureArgument,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="The file to write, .yaml; - is standard output."),
    ] = Path("-"),
    redis: RedisOption = None,
) -> None:
    """Write a roster to fill in: each participant's id, with the times and the place where they were seen."""
    if output.exists():
        raise RosterRefused(f"{str(output)!r} exists already; remove it or choose another name")
    from producer.reading.roster_form import roster_form  # late: slow to load

    with connected(redis) as (client, _):
        text = roster_form(client, lecture)
    if output == Path("-"):
        typer.echo(text, nl=False)
        return
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as failure:
        raise RosterRefused(f"cannot write {str(output)!r}: {failure.strerror or failure}") from None
