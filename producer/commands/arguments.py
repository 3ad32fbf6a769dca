"""The arguments that several commands share, and the parsers of their values."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from producer.feeding.decoding.sampling import checked_fps
from producer.reading.analysis.names import Roster
from producer.reading.chapters import ChapterFile, read_chapters
from producer.reading.roster import read_roster
from worker.contract.keys import checked_id
from worker.contract.limits import MAX_RETENTION_S

DAY_S = 24 * 3600


def _parsed(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A parser for typer, which reports the ValueError of `parse` as a usage error."""

    def parser(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as wrong:
            raise typer.BadParameter(str(wrong)) from None

    return parser


def fps(text: str) -> float:
    """Frames per second."""
    return checked_fps(_number(text))


def seconds(text: str) -> float:
    value = _number(text)
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{text!r} is not a number of seconds above 0")
    return value


def port(text: str, lowest: int = 0) -> int:
    """A TCP port; 0 means any free one."""
    # `str`, here and below, because typer also passes defaults, which are numbers.
    if not (str(text).isascii() and str(text).isdecimal() and lowest <= int(text) < 65536):
        raise ValueError(f"{text!r} is not a port: a number from {lowest} to 65535")
    return int(text)


def positive(text: str) -> int:
    if not str(text).isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def days(text: str) -> float:
    value = _number(text)
    if not 1 <= value <= MAX_RETENTION_S / DAY_S:
        raise ValueError(f"{text!r} is not a number of days from 1 to {MAX_RETENTION_S // DAY_S}")
    return value


class LectureRoster(NamedTuple):
    """The roster of one of several lectures."""

    lecture: str
    roster: Roster


def lecture_roster(text: str) -> LectureRoster:
    """The value of LECTURE=FILE."""
    lecture, equals, file = str(text).partition("=")
    if not equals:
        raise ValueError(f"{text!r} does not say whose roster it is; write LECTURE=FILE")
    return LectureRoster(checked_id(lecture, "lecture id"), read_roster(Path(file)))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


LECTURE_ROSTER = _parsed(lecture_roster)
LECTURE_ID = _parsed(lambda text: checked_id(text, "lecture id"))
COURSE_ID = _parsed(lambda text: checked_id(text, "course id"))
PARTICIPANT_ID = _parsed(lambda text: checked_id(text, "participant id"))
FPS = _parsed(fps)
SECONDS = _parsed(seconds)
DAYS = _parsed(days)
COUNT = _parsed(positive)
PORT = _parsed(port)
USED_PORT = _parsed(lambda text: port(text, lowest=1))

LectureArgument = Annotated[
    str, typer.Argument(parser=LECTURE_ID, metavar="LECTURE", show_default=False, help="The lecture's id.")
]


def output_option(endings: str) -> Any:
    """`--output`, for a file with one of these endings."""
    return typer.Option("--output", "-o", metavar="FILE", show_default=False, help=f"The file to write: {endings}.")


PageOutput = Annotated[Path, output_option(".html, complete in itself; - for standard output")]
RedisOption = Annotated[
    str | None,
    typer.Option(
        "--redis",
        envvar="REDIS_URL",
        metavar="URL",
        show_default=False,
        help="The Redis with the lectures; without it, a private one in your data folder.",
    ),
]
RosterOption = Annotated[
    Roster | None,
    typer.Option(
        "--roster",
        parser=lambda path: read_roster(Path(path)),
        metavar="FILE",
        show_default=False,
        help="YAML with the names of participants, by id or by tile; only for display.",
    ),
]
ChaptersOption = Annotated[
    ChapterFile | None,
    typer.Option(
        "--chapters",
        parser=lambda path: read_chapters(Path(path)),
        metavar="FILE",
        show_default=False,
        help="Chapters: WebVTT, SRT or lines like `0:00 Title`; without it, those in the recording.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the events, one JSON object per line, and nothing else.")
]
