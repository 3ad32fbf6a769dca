"""`producer export`."""

from pathlib import Path
from typing import Annotated

import typer

from producer.commands.arguments import ArchiveOption, LectureArgument, RedisOption, RosterOption, output_option
from producer.commands.connecting import connected
from producer.reading.analysis.losses import loss_line
from producer.reading.formats.choice import ENDINGS, Format, Kind, check_export
from producer.reading.output_file import shown_path
from producer.saying import say


def export(
    lecture: LectureArgument,
    output: Annotated[Path, output_option(f"{ENDINGS}; - for standard output")],
    rows: Annotated[
        Kind | None,
        typer.Option(
            show_default=False,
            help="Rows of single people, or of the class; .csv and .parquet have those of people by default.",
        ),
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option("--format", show_default="that of the file's ending", help="The format, for standard output."),
    ] = None,
    roster: RosterOption = None,
    redis: RedisOption = None,
    archive: ArchiveOption = None,
) -> None:
    """Write a lecture to a file: a table with a row for each frame, events, subtitles, or annotations for ELAN."""
    from producer.reading.export import export as export_lecture  # late: slow to load

    check_export(output, form, rows)
    with connected(redis, lecture, archive) as store:
        over, losses = export_lecture(store, lecture, output, roster, form, rows)
    if not over:
        say(f"lecture {lecture} is not over: {shown_path(output)} contains what there is until now")
    if losses:
        say(f"lecture {lecture}: {loss_line(losses)}")
