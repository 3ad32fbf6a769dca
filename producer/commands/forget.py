"""`producer forget`."""

from contextlib import suppress

import redis as redis_py
import typer

from producer.archive.place import ArchiveUnusable
from producer.commands.arguments import ArchiveOption, LectureArgument, RedisOption
from producer.commands.connecting import connected_cells
from producer.embedded.folder import erase_from_logs
from producer.reading.lectures import LectureUnknown
from producer.reading.lectures import forget as forget_lecture
from producer.saying import say
from worker.contract.command_line import LogLevel
from worker.contract.keys import LectureKeys


def forget(lecture: LectureArgument, redis: RedisOption = None, archive: ArchiveOption = None) -> None:
    """Erase everything that is stored of a lecture, also in the archive."""
    with connected_cells(redis, archive=archive) as cells:
        client = cells.client_of(lecture)
        archived = False
        with suppress(redis_py.ResponseError):  # a stranger's key of another type
            archived = bool(client.hexists(LectureKeys(lecture).info, "archived"))
        if archived and archive is None:
            raise ArchiveUnusable(
                f"lecture {lecture!r} is also in an archive; name it with --archive or LECTUREPULSE_ARCHIVE, so that "
                "it is erased there too"
            )
        unknown: LectureUnknown | None = None
        try:
            forget_lecture(client, lecture)
        except LectureUnknown as failure:
            unknown = failure
        try:
            erased = archive is not None and archive.erase(lecture)
        except ArchiveUnusable as failure:
            if unknown is not None:
                raise
            say(f"{failure}; lecture {lecture} is erased in Redis, but not there: forget it again", LogLevel.ERROR)
            raise typer.Exit(1) from None
        if unknown is not None and not erased:
            raise unknown
    if redis is None:
        erase_from_logs(lecture)
    typer.echo(f"forgot lecture {lecture}")
    if archived and not erased and archive is not None:
        say(f"lecture {lecture} was archived, but not in {archive.shown}; forget it in its archive too", LogLevel.ERROR)
        raise typer.Exit(1)
