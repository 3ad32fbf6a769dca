"""`producer summary`."""

import json
from typing import Annotated

import typer

from producer.commands.arguments import ArchiveOption, LectureArgument, RedisOption, RosterOption
from producer.commands.connecting import connected
from producer.reading.analysis.losses import loss_line
from producer.reading.lectures import read_lecture
from producer.saying import say


def summary(
    lecture: LectureArgument,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the moments as a JSON list, and nothing else.")
    ] = False,
    roster: RosterOption = None,
    redis: RedisOption = None,
    archive: ArchiveOption = None,
) -> None:
    """Say in a few sentences how the class went, and at which times it is worth watching."""
    from producer.reading.summing_up import summed_up  # late: slow to load

    with connected(redis, lecture, archive) as store:
        found = summed_up(store, read_lecture(store, lecture), roster)
    if as_json:
        typer.echo(json.dumps([each.as_json() for each in found.moments], indent=2))
    else:
        for each in found.sentences:
            typer.echo(each.text)
    if found.warning:
        say(found.warning)
    if found.running:
        say(f"lecture {lecture} is not over: this is what there is until now")
    if found.losses:
        say(f"lecture {lecture}: {loss_line(found.losses)}")
