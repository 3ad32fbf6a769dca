"""`producer forget`."""

import typer

from producer.commands.arguments import LectureArgument, RedisOption
from producer.commands.connecting import connected
from producer.embedded.folder import erase_from_logs
from producer.reading.lectures import forget as forget_lecture


def forget(lecture: LectureArgument, redis: RedisOption = None) -> None:
    """Erase everything that is stored of a lecture."""
    with connected(redis, lecture) as client:
        forget_lecture(client, lecture)
    if redis is None:
        erase_from_logs(lecture)
    typer.echo(f"forgot lecture {lecture}")
