"""`producer serve`."""

from typing import Annotated

import typer
from redis import Redis

from producer.commands.arguments import LECTURE_ID, PORT, RedisOption, RosterOption
from producer.commands.connecting import connected_cells
from producer.saying import say
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
        str, typer.Option(metavar="HOST", help="Listen at this address. Except on loopback, a token is required.")
    ] = "127.0.0.1",
    roster: RosterOption = None,
    redis: RedisOption = None,
    log_format: LogFormatOption = LogFormat.CONSOLE,
    log_level: LogLevelOption = LogLevel.INFO,
) -> None:
    """Show a lecture, or all of them, as web pages, and add recordings there. Ctrl-C ends it."""
    if roster is not None and lecture is None:
        raise typer.BadParameter("a roster belongs to one lecture; name it: serve LECTURE", param_hint="--roster")
    from producer.serving.server import ServeRefused  # late: no other command needs a web server
    from producer.serving.server import serve as serve_pages

    with connected_cells(redis) as cells:
        for down in cells.each(Redis.ping)[1]:
            say(down, LogLevel.WARNING)
        try:
            serve_pages(cells.cells, redis, lecture, host, port, roster, typer.echo)
        except ServeRefused as refused:
            say(refused, LogLevel.ERROR)
            raise typer.Exit(2) from None
