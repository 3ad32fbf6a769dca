"""The command line of the producer. It alone composes the two wings, and knows where Redis is."""

import math
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import redis
import typer
from msgspec import structs
from typer.core import TyperGroup

from producer.embedded.folder import EmbeddedError, erase_from_logs
from producer.embedded.server import ResultsUnsaved, epitaph, private_redis
from producer.embedded.workers import Workers, WorkersEnded
from producer.exposition import MetricsRefused, metrics_served
from producer.feeding.address import PROTOCOLS, SourceError
from producer.feeding.feed import MAX_BYTES, LectureExists, LectureGone, TooManyLectures
from producer.feeding.live import GIVE_UP_S
from producer.feeding.request import SourceRequest, source_requests
from producer.feeding.resuming import LectureNotResumable, read_interrupted
from producer.feeding.sampling import checked_fps
from producer.feeding.source import Source, open_sources
from producer.ingest import Wish, ingest
from producer.listening import workers_listen
from producer.outage import SpokenPatience
from producer.reading.analysis.names import Names, Roster, RosterRefused
from producer.reading.export import ExportRefused, check_path, export
from producer.reading.follow import ParticipantUnknown, follow
from producer.reading.lectures import LectureFed, LectureForgotten, LectureUnknown, forget, list_lectures, read_lecture
from producer.reading.roster import names_in, read_roster
from producer.saying import discard_output, say
from producer.stopping import exit_code
from producer.terminal.outputs import JsonLines, PlainLines
from worker.contract.connection import RedisUnusable, connect
from worker.contract.credentials import without_credentials
from worker.contract.keys import checked_id
from worker.contract.lifetimes import RETENTION_S
from worker.contract.limits import MAX_RETENTION_S, LimitExceeded

DAY_S = 24 * 3600

# Columns of what is written to no terminal: more than the longest source and name take.
LINE_OF_A_FILE = 1000


class RedisLost(Exception):
    """Redis went, or refused, in the middle of the work."""


NOTHING_DONE = (
    SourceError,
    LectureExists,
    LectureNotResumable,
    TooManyLectures,
    LectureUnknown,
    LectureFed,
    ParticipantUnknown,
    ExportRefused,
    RosterRefused,
    MetricsRefused,
    EmbeddedError,
    RedisUnusable,
)
"""What ends a command before it did anything: exit code 2."""

CUT_SHORT = (LectureGone, LectureForgotten, RedisLost, ResultsUnsaved, LimitExceeded, redis.RedisError)
"""What ends one in the middle: exit code 1."""

# typer has brought a click of its own since 0.20; this is the parent of all its usage errors, in that one or the other.
UsageError: Any = typer.BadParameter.__base__


def main() -> None:
    """Run the command line. Whatever is wrong is one line on standard error."""
    signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        code = app(standalone_mode=False)
    except UsageError as wrong:
        say(f"{wrong.format_message()} (see `{wrong.ctx.command_path if wrong.ctx else 'producer'} --help`)")
        code = 2
    sys.exit(code)


class Commands(TyperGroup):
    """The commands, with what may go wrong in any of them."""

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except NOTHING_DONE as failure:
            say(failure)
            raise typer.Exit(2) from None
        except CUT_SHORT as failure:
            say(failure)
            raise typer.Exit(1) from None
        except WorkersEnded as failure:
            say(failure)
            raise typer.Exit(2 if failure.refused else 1) from None
        except BrokenPipeError:  # whoever read the output has seen enough
            discard_output()
            raise typer.Exit(exit_code(signal.SIGPIPE)) from None
        except OSError as failure:
            say(failure)
            raise typer.Exit(2) from None


app = typer.Typer(cls=Commands, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def producer() -> None:
    """Make a timeline of displayed expression of a lecture, and read it.

    Exit codes: 0 done; 1 the lecture ended with failed frames or cut short, or a connection was lost; 2 bad arguments,
    an unreadable source or an unusable Redis; 128 + N stopped by signal N (130 for Ctrl-C).
    """


def _parsed(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A parser whose ValueError typer reports as it is, before anything else happens."""

    def parser(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as wrong:
            raise typer.BadParameter(str(wrong)) from None

    return parser


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


def _fps(text: str) -> float:
    return checked_fps(_number(text))


def _seconds(text: str) -> float:
    seconds = _number(text)
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"{text!r} is not a number of seconds above 0")
    return seconds


def _port(text: str) -> int:
    if not (str(text).isascii() and str(text).isdecimal() and int(text) < 65536):
        raise ValueError(f"{text!r} is not a port: a number from 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not str(text).isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _days(text: str) -> float:
    days = _number(text)
    if not 1 <= days <= MAX_RETENTION_S / DAY_S:
        raise ValueError(f"{text!r} is not a number of days from 1 to {MAX_RETENTION_S // DAY_S}")
    return days


LECTURE_ID = _parsed(lambda text: checked_id(text, "lecture id"))
PARTICIPANT_ID = _parsed(lambda text: checked_id(text, "participant id"))
COUNT = _parsed(_count)
SOURCES = (
    f"A video file, a stream ({', '.join(f'{each}://' for each in PROTOCOLS)}) or a camera (/dev/video0). "
    "Several recordings of one lecture, each of one person: NAME=SOURCE NAME=SOURCE..."
)

Lecture = Annotated[
    str, typer.Argument(parser=LECTURE_ID, metavar="LECTURE", show_default=False, help="The lecture's id.")
]
Redis = Annotated[
    str | None,
    typer.Option(
        "--redis",
        envvar="REDIS_URL",
        metavar="URL",
        show_default=False,
        help="The Redis where lectures are; without it, a private one in your data folder.",
    ),
]
Participant = Annotated[
    str | None,
    typer.Option(parser=PARTICIPANT_ID, metavar="ID", show_default=False, help="Of this participant only."),
]
NamesOf = Annotated[
    Roster | None,
    typer.Option(
        "--roster",
        parser=lambda path: read_roster(Path(path)),
        metavar="FILE",
        show_default=False,
        help="YAML with names for participants, by id or by tile; for reading only.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print events, one JSON object a line, and nothing else.")]


@app.command("ingest")
def ingest_command(
    sources: Annotated[list[str], typer.Argument(metavar="[NAME=]SOURCE", show_default=False, help=SOURCES)],
    lecture: Annotated[
        str | None,
        typer.Option(
            parser=LECTURE_ID,
            metavar="ID",
            show_default=False,
            help="The lecture's id; else made of the source's name.",
        ),
    ] = None,
    fps: Annotated[float, typer.Option(parser=_parsed(_fps), metavar="FPS", help="Frames a second to look at.")] = 2.0,
    redis: Redis = None,
    workers: Annotated[
        int | None,
        typer.Option(
            parser=COUNT, metavar="N", show_default="one a core", help="Worker processes beside the private Redis."
        ),
    ] = None,
    participant: Annotated[
        str | None,
        typer.Option(
            parser=PARTICIPANT_ID,
            metavar="ID",
            show_default=False,
            help="The one person who is seen, by this id.",
        ),
    ] = None,
    max_bytes: Annotated[
        int, typer.Option(parser=COUNT, metavar="N", help="Bytes of frames that may be in flight.")
    ] = MAX_BYTES,
    give_up: Annotated[
        float,
        typer.Option(
            parser=_parsed(_seconds),
            metavar="SECONDS",
            help="How long a live source may be gone.",
        ),
    ] = GIVE_UP_S,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, metavar="PORT", show_default=False, help="Serve /metrics there, for Prometheus."
        ),
    ] = None,
    metrics_host: Annotated[str, typer.Option(metavar="HOST", help="The address they are served at.")] = "127.0.0.1",
    roster: NamesOf = None,
    class_only: Annotated[
        bool, typer.Option("--class-only", help="Tell what the class displays, and nothing per person.")
    ] = False,
    retention: Annotated[
        float,
        typer.Option(
            parser=_parsed(_days), metavar="DAYS", help="How long results are kept; then they go by themselves."
        ),
    ] = RETENTION_S / DAY_S,
    json: Json = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the recording --lecture, which was stopped, where it was stopped."),
    ] = False,
) -> None:
    """Cut a recording or live stream into frames, have them looked at, show who was seen with what expressions.

    Ctrl-C stops feeding, waits for what is in flight and says where it stopped; a second one leaves at once.
    """
    if redis is not None and workers is not None:
        raise typer.BadParameter(
            f"{workers} workers cannot be started beside a Redis that is not private; leave out --workers or --redis",
            param_hint="--workers",
        )
    typed = redis if redis != os.environ.get("REDIS_URL") else None
    shown = without_credentials(typed) if typed is not None else None
    requests = source_requests(sources, participant)
    one_person = requests[0].participant if len(requests) == 1 else None
    if resume and lecture is None:
        raise typer.BadParameter("name the lecture that is to be gone on with: --lecture ID", param_hint="--resume")
    if class_only and any(request.participant for request in requests):
        raise typer.BadParameter(
            "nothing is told per person, so nobody can be named; leave out NAME= and --participant",
            param_hint="--class-only",
        )
    wish = Wish(
        lecture, fps, one_person, max_bytes, json, shown, roster, class_only, retention_s=round(retention * DAY_S)
    )
    with ExitStack() as stack:
        if metrics_port is not None:
            stack.enter_context(metrics_served(metrics_host, metrics_port))
        # Nothing is started for a source that cannot be opened; but where to open one that is resumed, Redis knows.
        opened: Source | None = None
        if not resume:
            opened = open_sources(requests, fps, give_up)
            stack.callback(opened.close)
        client, url = stack.enter_context(_redis(redis))
        if opened is None:
            wish, opened = _resumed(wish, requests, client)
            stack.callback(opened.close)
        own = Workers(url, workers or len(os.sched_getaffinity(0))) if redis is None else nullcontext()
        code = ingest(wish, opened, client, own)
    raise typer.Exit(code)


def _resumed(wish: Wish, requests: Sequence[SourceRequest], client: redis.Redis) -> tuple[Wish, Source]:
    """The wish to go on with a lecture, and its source, opened behind what was fed of it."""
    assert wish.lecture is not None
    interrupted = read_interrupted(client, wish.lecture)
    source = open_sources(requests, wish.fps, first=interrupted.frames)
    if source.live:
        source.close()
        raise LectureNotResumable(f"{source.label.shown}: is live; only a recording can be resumed")
    return structs.replace(wish, resumed=interrupted), source


@app.command("watch")
def watch_command(
    lecture: Lecture,
    participant: Participant = None,
    from_start: Annotated[bool, typer.Option("--from-start", help="With all that came before.")] = False,
    roster: NamesOf = None,
    redis: Redis = None,
    json: Json = False,
) -> None:
    """Follow a lecture's events until it ends."""
    with _redis(redis) as (client, _):
        names = names_in(client, lecture, roster) if roster is not None else None
        class_only = read_lecture(client, lecture).info.class_only
        waiting = _Waiting(client, lecture)
        if not json and sys.stdout.isatty():
            _watch_live(client, lecture, participant, from_start, names, waiting)
            return
        show = (JsonLines(names) if json else PlainLines(names, class_only)).show
        for event in follow(client, lecture, participant, from_start, while_waiting=waiting):
            show(event)


def _watch_live(
    client: redis.Redis,
    lecture: str,
    participant: str | None,
    from_start: bool,
    names: Names | None,
    waiting: Callable[[], None],
) -> None:
    """Follow a lecture as a table that moves."""
    from producer.terminal.live_table import LiveTable  # late: rich is slow to load

    def while_waiting() -> None:
        waiting()
        table.tick()

    read_lecture(client, lecture)  # where there is none, before anything is drawn
    with LiveTable(lecture, lambda: read_lecture(client, lecture), names, whole=participant is None) as table:
        for event in follow(client, lecture, participant, from_start, while_waiting=while_waiting):
            table.show(event)


@app.command("serve")
def serve_command(
    lecture: Annotated[
        str | None,
        typer.Argument(
            parser=LECTURE_ID, metavar="[LECTURE]", show_default=False, help="The lecture's id; without it, all."
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(parser=_parsed(_port), metavar="PORT", help="Where to listen; 0 for any that is free.")
    ] = 8080,
    host: Annotated[
        str, typer.Option(metavar="HOST", help="On which address. Where it is not loopback, a token is asked for.")
    ] = "127.0.0.1",
    roster: NamesOf = None,
    redis: Redis = None,
) -> None:
    """Show a lecture, or all of them, as a web page that moves while it goes on. Ctrl-C ends it."""
    if roster is not None and lecture is None:
        raise typer.BadParameter("a roster is for one lecture; say which: serve LECTURE", param_hint="--roster")
    from producer.serving.server import ServeRefused, serve  # late: nothing else needs a web server

    with _redis(redis) as (_, url):
        try:
            serve(url, lecture, host, port, roster, typer.echo)
        except ServeRefused as refused:
            say(refused)
            raise typer.Exit(2) from None


@app.command("export")
def export_command(
    lecture: Lecture,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", show_default=False, help="The file to write: .csv, .parquet or .jsonl."),
    ],
    roster: NamesOf = None,
    redis: Redis = None,
) -> None:
    """Write a lecture to a file: a row a participant and frame, or (.jsonl) the events as they are."""
    check_path(output)
    with _redis(redis) as (client, _):
        if not export(client, lecture, output, roster):
            say(f"lecture {lecture} is not over: {output} holds what was there")


@app.command("report")
def report_command(
    lecture: Lecture,
    output: Annotated[
        Path, typer.Option("--output", "-o", show_default=False, help="The file to write: .html, needing no other.")
    ],
    class_only: Annotated[bool, typer.Option("--class-only", help="Nothing about single participants.")] = False,
    roster: NamesOf = None,
    redis: Redis = None,
) -> None:
    """Write a page to read: the class over time, moments worth a look, who was seen how long, how sure that is."""
    from producer.reading.report.writing import check_report_path, report  # late: slow to load

    check_report_path(output)
    with _redis(redis) as (client, _):
        if not report(client, lecture, output, roster, class_only):
            say(f"lecture {lecture} is not over: {output} shows what was there")


@app.command("list")
def list_command(redis: Redis = None) -> None:
    """List the lectures that are kept, the oldest first."""
    with _redis(redis) as (client, _):
        lectures = list_lectures(client)
    if not lectures:
        typer.echo("no lectures")
        return
    from rich.console import Console

    from producer.terminal.tables import lectures_table  # late: rich is slow to load

    width = None if sys.stdout.isatty() else LINE_OF_A_FILE  # who reads lines wants them whole
    Console(width=width).print(lectures_table(lectures))


@app.command("forget")
def forget_command(lecture: Lecture, redis: Redis = None) -> None:
    """Erase all that is kept of a lecture."""
    with _redis(redis) as (client, _):
        forget(client, lecture)
    if redis is None:
        erase_from_logs(lecture)
    typer.echo(f"forgot lecture {lecture}")


@contextmanager
def _redis(url: str | None) -> Iterator[tuple[redis.Redis, str]]:
    """A client of the Redis at `url`, or of the private one, and its URL; RedisLost when it goes meanwhile.

    One at `url` may go and come back. The private one, which is on this machine and all in memory, does not.
    """
    if url is None:
        with private_redis() as where, connect(where) as client:
            try:
                yield client, where
            except redis.RedisError as failure:
                raise RedisLost(f"lost the private Redis: {failure}; {epitaph()}") from None
        return
    shown = without_credentials(url)
    with connect(url, SpokenPatience(shown)) as client:
        try:
            yield client, url
        except redis.exceptions.NoPermissionError as failure:
            raise RedisUnusable(f"Redis at {shown} does not let this user do that: {failure}") from None
        except redis.RedisError as failure:
            raise RedisLost(f"lost Redis at {shown}: {failure}") from None


class _Waiting:
    """Says once, some seconds into a silence, if it looks as if nothing will ever come."""

    # A feed renews its sign of life every 10 s, a worker that loads its models is not listed yet.
    PATIENCE = 15

    def __init__(self, client: redis.Redis, lecture: str) -> None:
        self._client = client
        self._lecture = lecture
        self._seconds = 0

    def __call__(self) -> None:
        self._seconds += 1
        if self._seconds == self.PATIENCE:
            found = read_lecture(self._client, self._lecture)
            if not found.fed and (found.abandoned or not workers_listen(self._client)):
                say(f"nobody feeds lecture {self._lecture}, and nobody works on it; waiting (Ctrl-C ends that)")


def _on_sigterm(number: int, _: FrameType | None) -> None:
    raise SystemExit(exit_code(number))
