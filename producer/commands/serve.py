"""`producer serve`."""

import os
import re
from typing import Annotated

import typer
from redis import Redis

from producer.archive.archive import ARCHIVE_VARIABLE
from producer.commands.arguments import LECTURE_ID, PORT, ArchiveOption, RedisOption, RosterOption
from producer.commands.connecting import connected_cells
from producer.saying import say
from producer.serving import TOKEN
from worker.contract.command_line import LogFormat, LogFormatOption, LogLevel, LogLevelOption


def serve(
    lecture: Annotated[
        str | None,
        typer.Argument(
            parser=LECTURE_ID, metavar="LECTURE", show_default=False, help="The lecture's id; by default all."
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(parser=PORT, metavar="PORT", help="Listen on this port; 0 for any free one.")
    ] = 8080,
    host: Annotated[
        str,
        typer.Option(metavar="HOST", help=f"Listen here. Except on loopback, a token is made if {TOKEN} has none."),
    ] = "127.0.0.1",
    roster: RosterOption = None,
    redis: RedisOption = None,
    archive: ArchiveOption = None,
    log_format: LogFormatOption = LogFormat.CONSOLE,
    log_level: LogLevelOption = LogLevel.INFO,
) -> None:
    """Show a lecture, or all of them, as web pages, and add recordings there. Ctrl-C ends it."""
    if roster is not None and lecture is None:
        raise typer.BadParameter("a roster belongs to one lecture; name it: serve LECTURE", param_hint="--roster")
    token = _token()
    from producer.serving.server import ServeRefused  # late: no other command needs a web server
    from producer.serving.server import serve as serve_pages

    if archive is not None:
        os.environ[ARCHIVE_VARIABLE] = archive.address  # for the commands that the server starts
    with connected_cells(redis, archive=archive) as cells:
        for down in cells.each(Redis.ping)[1]:
            say(down, LogLevel.WARNING)
        try:
            serve_pages(cells.cells, redis, lecture, host, port, token, roster, archive, typer.echo)
        except ServeRefused as refused:
            say(refused, LogLevel.ERROR)
            raise typer.Exit(2) from None


def _token() -> str | None:
    """The token of the environment. It is taken out, so that no child process gets it."""
    token = os.environ.pop(TOKEN, "")
    if token and not re.fullmatch("[A-Za-z0-9_-]{32,}", token):
        make = f"export {TOKEN}=$(openssl rand -hex 32)"
        raise typer.BadParameter(f"not 32 or more letters, digits, - and _; make one: {make}", param_hint=TOKEN)
    return token or None
