"""`producer archive`."""

from typing import Annotated

import redis as redis_py
import typer

from producer.archive.archive import Archive
from producer.commands.arguments import LECTURE_ID, ArchiveOption, RedisOption
from producer.commands.connecting import connected_cells
from producer.reading.archiving import ARCHIVING_FAILURES, archive_lecture, trim
from producer.reading.lectures import list_lectures
from producer.saying import say
from worker.contract.command_line import LogFormat, LogFormatOption, LogLevel


def archive(
    lectures: Annotated[
        list[str] | None,
        typer.Argument(
            parser=LECTURE_ID,
            metavar="[LECTURE]...",
            show_default=False,
            help="The lectures' ids; by default all that are over and not archived yet.",
        ),
    ] = None,
    archive: ArchiveOption = None,
    redis: RedisOption = None,
    log_format: LogFormatOption = LogFormat.CONSOLE,
) -> None:
    """Move lectures that are over to the archive, and erase those there whose retention time is over."""
    if archive is None:
        raise typer.BadParameter("name a folder or store, or set LECTUREPULSE_ARCHIVE", param_hint="--archive")
    archive.place.check()
    with connected_cells(redis, archive=archive) as cells:
        if lectures:
            complete = False not in [_archived(cells.client_of(name), archive, name) for name in lectures]
        else:
            kept = set(archive.place.files())
            answers, down = cells.each(lambda client: _all_archived(client, archive, kept))
            complete = all(answers) and not down
            for each in down:
                say(f"{each}; its lectures are not archived", LogLevel.ERROR)
    for name in archive.erase_expired():
        typer.echo(f"erased lecture {name}: its retention time is over")
    if not complete:
        raise typer.Exit(1)


def _all_archived(client: redis_py.Redis, archive: Archive, kept: set[str]) -> bool:
    """Archive and trim all lectures of one Redis that are over; whether that worked. `kept` have a file already."""
    complete = True
    for each in list_lectures(client):
        if each.info.status == "running":
            continue
        if each.info.archived == each.info.ended and each.id in kept:
            trim(client, each.id)  # it could be resumed until now
        else:
            complete &= _archived(client, archive, each.id)
    return complete


def _archived(client: redis_py.Redis, archive: Archive, lecture: str) -> bool:
    try:
        archive_lecture(client, archive, lecture)
    except ARCHIVING_FAILURES as failure:
        say(f"{failure}; lecture {lecture} is not archived", LogLevel.ERROR)
        return False
    typer.echo(f"archived lecture {lecture}")
    return True
