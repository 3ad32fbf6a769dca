"""`producer report`."""

import gc
from typing import Annotated

import typer

from producer.commands.arguments import (
    ArchiveOption,
    ChaptersOption,
    LectureArgument,
    PageOutput,
    RedisOption,
    RosterOption,
)
from producer.commands.connecting import connected
from producer.reading.analysis.losses import loss_line
from producer.reading.output_file import check_page_path, shown_path
from producer.saying import say


def report(
    lecture: LectureArgument,
    output: PageOutput,
    class_only: Annotated[bool, typer.Option("--class-only", help="Leave out single participants.")] = False,
    roster: RosterOption = None,
    chapters: ChaptersOption = None,
    redis: RedisOption = None,
    archive: ArchiveOption = None,
) -> None:
    """Write the teacher's page: the class over time, notable moments, each participant, and how certain models are."""
    from producer.reading.report.writing import report as write_report  # late: slow to load

    gc.disable()  # nothing here makes cycles worth freeing, and looking for them takes a fifth of the time
    check_page_path(output)
    if chapters is not None and chapters.notice:
        say(chapters.notice)
    with connected(redis, lecture, archive) as store:
        over, losses = write_report(store, lecture, output, roster, class_only, chapters and chapters.chapters)
    if not over:
        say(f"lecture {lecture} is not over: {shown_path(output)} shows what there is until now")
    if losses:
        say(f"lecture {lecture}: {loss_line(losses)}")
