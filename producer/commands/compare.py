"""`producer compare`."""

from typing import Annotated

import typer

from producer.commands.arguments import (
    COURSE_ID,
    LECTURE_ID,
    LECTURE_ROSTER,
    ArchiveOption,
    LectureRoster,
    PageOutput,
    RedisOption,
)
from producer.commands.connecting import connected_cells
from producer.reading.output_file import check_page_path


def compare(
    output: PageOutput,
    lectures: Annotated[
        list[str] | None,
        typer.Argument(
            parser=LECTURE_ID,
            metavar="[LECTURE]...",
            show_default=False,
            help="The lectures' ids; each is compared with the first.",
        ),
    ] = None,
    course: Annotated[
        str | None,
        typer.Option(parser=COURSE_ID, metavar="ID", show_default=False, help="All lectures of this course, by date."),
    ] = None,
    roster: Annotated[
        list[LectureRoster] | None,
        typer.Option(
            parser=LECTURE_ROSTER,
            metavar="LECTURE=FILE",
            show_default=False,
            help="A lecture's roster. People with the same name in two lectures are one person. May be given again.",
        ),
    ] = None,
    redis: RedisOption = None,
    archive: ArchiveOption = None,
) -> None:
    """Write a page that compares lectures: what was displayed more or less, and how certain that is."""
    from producer.reading.comparison.writing import compare as compare_lectures  # late: slow to load

    check_page_path(output)
    with connected_cells(redis, archive=archive) as cells:
        compare_lectures(cells, lectures or [], output, course, dict(roster or []))
