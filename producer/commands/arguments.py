"""The arguments that several commands share, and the parsers of their values."""

import math
import os
import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from producer.archive.archive import ARCHIVE_VARIABLE, Archive
from producer.cells.naming import REDIS_VARIABLES
from producer.feeding.decoding.sampling import checked_fps
from producer.reading.analysis.names import Roster
from producer.reading.chapters import ChapterFile, read_chapters
from producer.reading.roster import read_roster
from worker.contract.keys import checked_id
from worker.contract.limits import MAX_PARTICIPANTS, MAX_RECORDING_S, MAX_RETENTION_S
from worker.contract.messages import PixelBox

DAY_S = 24 * 3600

_TIME = re.compile(r"(?:(?:(\d{1,3}):)?([0-5]?\d):(?=[0-5]\d(?!\d)))?(\d{1,6}(?:\.\d{1,6})?)", re.ASCII)
_OF_DAY = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?", re.ASCII)
_REGION = re.compile(r" *(\d{1,5}) *, *(\d{1,5}) *, *(\d{1,5}) *, *(\d{1,5}) *", re.ASCII)


MIN_GROUP = 5
"""The smallest group whose scores are published, if single people are not."""


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


def group_size(text: str) -> int:
    value = positive(text)
    if value > MAX_PARTICIPANTS:
        raise ValueError(f"{text!r} is not a number of people from 1 to {MAX_PARTICIPANTS}")
    return value


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


def media_time(text: str) -> float:
    """Seconds of a recording, from seconds or H:MM:SS."""
    match = _TIME.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is not a time: write seconds like 90 or 7.5, or H:MM:SS")
    hours, minutes, seconds = match.groups()
    value = (int(hours or 0) * 60 + int(minutes or 0)) * 60 + float(seconds)
    if value > MAX_RECORDING_S:
        raise ValueError(f"{text!r} is later than {MAX_RECORDING_S:g} s, the limit of a recording")
    return value


def duration(text: str) -> float:
    value = media_time(text)
    if value <= 0:
        raise ValueError(f"{text!r} is not long enough; give more than 0 s")
    return value


def moment(text: str) -> float:
    """A moment to come, in seconds since the epoch: a time of day (the next such time), or an ISO date and time.

    Without a zone, it is the local time of this machine.
    """
    try:
        if of_day := _OF_DAY.fullmatch(text):
            hour, minute, second = (int(part or 0) for part in of_day.groups())
            now = datetime.now()
            then = now.replace(hour=hour, minute=minute, second=second, microsecond=0)
            return (then if then > now else then + timedelta(days=1)).timestamp()
        value = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text)).timestamp()
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{text!r} is not a time: write one of the day like 16:30, or 2026-03-05T16:30") from None
    if value <= time.time():
        raise ValueError(f"{text!r} is over; give a time to come")
    return value


def region(text: str) -> PixelBox:
    """x, y, width, height in pixels."""
    match = _REGION.fullmatch(str(text))
    if match is None or "0" in (match[3].lstrip("0") or "0", match[4].lstrip("0") or "0"):
        raise ValueError(f"{text!r} is not x,y,width,height in whole pixels of the recording, like 1600,0,320,180")
    x, y, width, height = map(int, match.groups())
    return x, y, width, height


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

GROUP_SIZE = _parsed(group_size)
MEDIA_TIME = _parsed(media_time)
REGION = _parsed(region)
DURATION = _parsed(duration)
MOMENT = _parsed(moment)
ARCHIVE = _parsed(Archive)

LectureArgument = Annotated[
    str, typer.Argument(parser=LECTURE_ID, metavar="LECTURE", show_default=False, help="The lecture's id.")
]


def _one_variable(context: typer.Context, value: str | None) -> str | None:
    """Refuse two variables that name different Redis: it would not be clear which one is meant."""
    source = context.get_parameter_source("redis")
    if source is not None and source.name == "ENVIRONMENT" and all(map(os.environ.get, REDIS_VARIABLES)):
        raise typer.BadParameter(
            f"{' and '.join(REDIS_VARIABLES)} are both set; unset one of them, or give --redis", param_hint="--redis"
        )
    return value


def output_option(endings: str) -> Any:
    """`--output`, for a file with one of these endings."""
    return typer.Option("--output", "-o", metavar="FILE", show_default=False, help=f"The file to write: {endings}.")


PageOutput = Annotated[Path, output_option(".html, complete in itself; - for standard output")]
RedisOption = Annotated[
    str | None,
    typer.Option(
        "--redis",
        envvar=list(REDIS_VARIABLES),
        callback=_one_variable,
        metavar="URL",
        show_default=False,
        help="The Redis with the lectures, or a list of several (cells); by default a private one in your data folder.",
    ),
]
ArchiveOption = Annotated[
    Archive | None,
    typer.Option(
        "--archive",
        parser=ARCHIVE,
        envvar=ARCHIVE_VARIABLE,
        metavar="PLACE",
        show_default=False,
        help="Where lectures that are over are kept: a folder, or s3://BUCKET/PREFIX.",
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
FromOption = Annotated[
    float | None,
    typer.Option(
        "--from",
        parser=MEDIA_TIME,
        metavar="TIME",
        show_default="its begin",
        help="Read a recording from this time on: seconds, or H:MM:SS.",
    ),
]
ToOption = Annotated[
    float | None,
    typer.Option(
        "--to", parser=MEDIA_TIME, metavar="TIME", show_default="its end", help="Read a recording up to this time."
    ),
]
IgnoreOption = Annotated[
    list[Any] | None,
    typer.Option(
        "--ignore",
        parser=REGION,
        metavar="X,Y,WIDTH,HEIGHT",
        show_default=False,
        help="Leave out faces in this region, in pixels of the recording; repeat it for more regions.",
    ),
]
MinGroupOption = Annotated[
    int | None,
    typer.Option(
        "--min-group",
        parser=GROUP_SIZE,
        metavar="K",
        show_default=f"{MIN_GROUP} with --class-only, otherwise 1",
        help="Hide what fewer than K people displayed.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the events, one JSON object per line, and nothing else.")
]
