"""`producer export`."""

from pathlib import Path
from typing import Annotated

import typer

from producer.commands.arguments import LectureArgument, RedisOption, RosterOption
from producer.commands.connecting import connected
from producer.reading.export import check_path
from producer.reading.export import export as export_lecture
from producer.saying import say


def export(
    lecture: LectureArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", show_default=False, help="The file to write: .csv, .parquet or .jsonl."
        ),
    ],
    roster: RosterOption = None,
    redis: RedisOption = None,
) -> None:
    """Write a lecture to a file: one row per participant and frame, or (.jsonl) the events themselves."""
    check_path(output)
    with connected(redis) as (client, _):
        if not export_lecture(client, lecture, output, roster):
            say(f"lecture {lecture} is not over: {output} contains what there is until now")
