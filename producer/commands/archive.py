"""`producer archive`."""

from typing import Annotated

import redis as redis_py
import typer

from producer.archive.archive import Archive
from producer.commands.arguments import LECTURE_ID, ArchiveOption, RedisOption
from producer.commands.connecting import connected_cells
from producer.reading.archiving import ARCHIVING_FAILURES, LectureRunning, archive_lecture, moved, trim
from producer.reading.lectures import Lecture, list_lectures, read_lecture
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
    kept = set(archive.place.files())
    with connected_cells(redis, archive=archive) as cells:
        if lectures:
            clients = {name: cells.client_of(name) for name in lectures}
            found = [(client, read_lecture(client, name)) for name, client in clients.items()]
            for _, each in found:
                if each.info.status == "running":
                    raise LectureRunning(each.id)
            complete = False not in [_archived(client, archive, kept, each) for client, each in found]
        else:
            answers, down = cells.each(lambda client: _all_archived(client, archive, kept))
            complete = all(answers) and not down
            for failure in down:
                say(f"{failure}; its lectures are not archived", LogLevel.ERROR)
    for name in archive.erase_expired():
        typer.echo(f"erased lecture {name}: its retention time is over")
    if not complete:
        raise typer.Exit(1)


def _all_archived(client: redis_py.Redis, archive: Archive, kept: set[str]) -> bool:
    """Archive and trim all lectures of one Redis that are over; whether that worked. `kept` have a file already."""
    over = [each for each in list_lectures(client) if each.info.status != "running"]
    return False not in [_archived(client, archive, kept, each) for each in over]


def _archived(client: redis_py.Redis, archive: Archive, kept: set[str], lecture: Lecture) -> bool:
    try:
        if moved(lecture.info) and lecture.id in kept:
            trim(client, lecture.id)  # it could be resumed until now
        else:
            archive_lecture(client, archive, lecture.id)
            typer.echo(f"archived lecture {lecture.id}")
    except ARCHIVING_FAILURES as failure:
        say(f"{failure}; lecture {lecture.id} is not archived", LogLevel.ERROR)
        return False
    return True
