"""`producer overlay`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from producer.commands.arguments import ArchiveOption, LectureArgument, RedisOption, RosterOption, output_option
from producer.commands.connecting import connected
from producer.saying import say


def overlay(
    video: Annotated[str, typer.Argument(metavar="VIDEO", show_default=False, help="The recording that was ingested.")],
    lecture: LectureArgument,
    output: Annotated[Path, output_option(".mp4 or .mkv")],
    roster: RosterOption = None,
    redis: RedisOption = None,
    archive: ArchiveOption = None,
) -> None:
    """Write the recording with a box, the id (or name) and the displayed expression at each face. The sound stays."""
    from rich.console import Console  # late: all of these are slow to load
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from producer.overlay.making import check_film_path
    from producer.overlay.making import overlay as make_film

    check_film_path(output)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f}%"))
    progress = Progress(
        *(*columns, TimeRemainingColumn()),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    )
    with connected(redis, lecture, archive) as store, progress:
        task = progress.add_task(f"drawing {lecture}", total=None)
        made = make_film(
            store,
            video,
            lecture,
            output,
            roster,
            lambda done, whole: progress.update(task, completed=done, total=whole),
        )
    if made.sound_lost:
        say(f"{output} has no sound, because an .mp4 cannot hold {made.sound_lost}; write an .mkv instead")
    if made.shortfall:
        say(f"{video}: {made.shortfall}")
        raise typer.Exit(1)
