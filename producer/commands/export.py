"""`producer export`."""

from pathlib import Path
from typing import Annotated

import typer

from producer.commands.arguments import LectureArgument, RedisOption, RosterOption
from producer.commands.connecting import connected
from producer.reading.analysis.losses import loss_line
from producer.reading.export import ENDINGS, check_path
from producer.reading.export import export as export_lecture
from producer.saying import say


def export(
    lecture: LectureArgument,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", show_default=False, help=f"The file to write: {ENDINGS}."),
    ],
    roster: RosterOption = None,
    redis: RedisOption = None,
) -> None:
    """Write a lecture to a file: one row per participant and frame, or (.jsonl) the events themselves."""
    check_path(output)
    with connected(redis) as (client, _):
        over, losses = export_lecture(client, lecture, output, roster)
    if not over:
        say(f"lecture {lecture} is not over: {output} contains what there is until now")
    if losses:
        say(f"lecture {lecture}: {loss_line(losses)}")
