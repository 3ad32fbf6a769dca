"""`producer ingest`."""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Annotated, Any

import redis as redis_py
import typer
from msgspec import structs

from producer.archive.archive import Archive
from producer.archive.place import ArchiveUnusable
from producer.cells.connections import Cells
from producer.cells.naming import REDIS_VARIABLES, shown_cells
from producer.commands.arguments import (
    COUNT,
    COURSE_ID,
    DAY_S,
    DAYS,
    DURATION,
    FPS,
    LECTURE_ID,
    MIN_GROUP,
    MOMENT,
    PARTICIPANT_ID,
    SECONDS,
    USED_PORT,
    ArchiveOption,
    ChaptersOption,
    FromOption,
    IgnoreOption,
    JsonOption,
    MinGroupOption,
    RedisOption,
    RosterOption,
    ToOption,
)
from producer.commands.connecting import connected_cells
from producer.commands.webhook import WebhookOption
from producer.embedded.workers import Workers
from producer.feeding.feed import MAX_BYTES
from producer.feeding.resuming import LectureNotResumable, read_interrupted
from producer.feeding.sources.address import PROTOCOLS, is_push
from producer.feeding.sources.excerpt import Excerpt
from producer.feeding.sources.live import GIVE_UP_S, LiveEnd
from producer.feeding.sources.opening import open_sources
from producer.feeding.sources.request import SourceRequest, source_requests
from producer.feeding.sources.source import Source
from producer.ingestion import IngestSettings
from producer.ingestion import ingest as ingest_lecture
from producer.metrics.exposition import metrics_served
from producer.saying import say
from worker.contract.command_line import LogFormat, LogFormatOption, LogLevel, LogLevelOption
from worker.contract.cores import usable_cores
from worker.contract.lifetimes import RETENTION_S
from worker.contract.limits import MAX_IGNORED
from worker.contract.messages import LectureChoices, PixelBox

SOURCES = (
    f"A video file, a stream ({', '.join(f'{each}://' for each in PROTOCOLS)}) or a camera (/dev/video0). "
    "For several recordings of one lecture, each of one person: NAME=SOURCE NAME=SOURCE..."
)

DEFAULT_FPS = 2.0


def ingest(
    sources: Annotated[list[str], typer.Argument(metavar="[NAME=]SOURCE", show_default=False, help=SOURCES)],
    lecture: Annotated[
        str | None,
        typer.Option(
            parser=LECTURE_ID,
            metavar="ID",
            show_default=False,
            help="The lecture's id; by default it is made from the source's name.",
        ),
    ] = None,
    course: Annotated[
        str | None,
        typer.Option(
            parser=COURSE_ID,
            metavar="ID",
            show_default=False,
            help="The course that the lecture belongs to, for `producer compare`.",
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            parser=FPS,
            metavar="FPS",
            show_default=f"{DEFAULT_FPS:g}; with --resume as before",
            help="Frames per second to analyze.",
        ),
    ] = None,
    redis: RedisOption = None,
    workers: Annotated[
        int | None,
        typer.Option(
            parser=COUNT, metavar="N", show_default="one per core", help="Worker processes beside the private Redis."
        ),
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            show_default="those of this program",
            help="Folder of models for the workers beside the private Redis.",
        ),
    ] = None,
    participant: Annotated[
        str | None,
        typer.Option(
            parser=PARTICIPANT_ID, metavar="ID", show_default=False, help="The id of the only person in the recording."
        ),
    ] = None,
    stream: Annotated[
        str | None,
        typer.Option(
            metavar="N|NAME",
            show_default=False,
            help="Of several videos in a SOURCE, read number N, or the one with this language or title.",
        ),
    ] = None,
    max_bytes: Annotated[
        int, typer.Option(parser=COUNT, metavar="N", help="Bytes of frames that may be in flight.")
    ] = MAX_BYTES,
    give_up: Annotated[
        float,
        typer.Option(parser=SECONDS, metavar="SECONDS", help="Give a live source up after this time without a frame."),
    ] = GIVE_UP_S,
    duration: Annotated[
        float | None,
        typer.Option(
            parser=DURATION,
            metavar="TIME",
            show_default=False,
            help="End a live lecture this long after its first frame: seconds, or H:MM:SS.",
        ),
    ] = None,
    until: Annotated[
        float | None,
        typer.Option(
            parser=MOMENT,
            metavar="TIME",
            show_default=False,
            help="End a live lecture at this time: H:MM today (or tomorrow, if that is over), or an ISO date and time.",
        ),
    ] = None,
    end_is_done: Annotated[
        bool, typer.Option("--end-is-done", help="A live source that is given up has ended as it should.")
    ] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            parser=USED_PORT, metavar="PORT", show_default=False, help="Serve /metrics on this port, for Prometheus."
        ),
    ] = None,
    metrics_host: Annotated[str, typer.Option(metavar="HOST", help="Serve /metrics at this address.")] = "127.0.0.1",
    roster: RosterOption = None,
    chapters: ChaptersOption = None,
    class_only: Annotated[
        bool, typer.Option("--class-only", help="Publish what the class displays, and nothing per person.")
    ] = False,
    retention: Annotated[
        float | None,
        typer.Option(
            parser=DAYS,
            metavar="DAYS",
            show_default=f"{RETENTION_S / DAY_S:g}; with --resume as before",
            help="Delete results this long after their last change.",
        ),
    ] = None,
    min_group: MinGroupOption = None,
    begin: FromOption = None,
    end: ToOption = None,
    ignore: IgnoreOption = None,
    webhook: WebhookOption = None,
    archive: ArchiveOption = None,
    json: JsonOption = False,
    log_format: LogFormatOption = LogFormat.CONSOLE,
    log_level: LogLevelOption = LogLevel.INFO,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the recording --lecture where it was stopped.")
    ] = False,
) -> None:
    """Analyze a recording or live stream, and show the participants with the expressions that they display.

    Ctrl-C stops feeding, waits for the frames in flight and says where it stopped. A second Ctrl-C exits at once.
    """
    if redis is not None and workers is not None:
        raise typer.BadParameter(
            f"{workers} workers can only be started beside the private Redis; leave out --workers or --redis",
            param_hint="--workers",
        )
    if redis is not None and models is not None:
        raise typer.BadParameter(
            f"{models} is for workers beside the private Redis; give it to `worker run`, or leave out --redis",
            param_hint="--models",
        )
    requests = source_requests(sources, participant)
    if resume and lecture is None:
        raise typer.BadParameter("name the lecture to resume: --lecture ID", param_hint="--resume")
    if class_only and any(request.participant for request in requests):
        raise typer.BadParameter(
            "nothing is published per person, so nobody can be named; leave out NAME= and --participant",
            param_hint="--class-only",
        )
    if resume and chapters is not None:
        raise typer.BadParameter(
            "a resumed lecture keeps its chapters; give the file to `report`", param_hint="--chapters"
        )
    if resume and retention is not None:
        raise typer.BadParameter("a resumed lecture keeps its retention time; leave it out", param_hint="--retention")
    if min_group is not None and min_group > 1 and not (class_only or resume):
        raise typer.BadParameter(
            f"a group of fewer than {min_group} cannot be hidden while single people are published; add --class-only",
            param_hint="--min-group",
        )
    if begin is not None and end is not None and begin >= end:
        raise typer.BadParameter(f"{end:g} s is not later than --from, {begin:g} s", param_hint="--to")
    if ignore and len(ignore) > MAX_IGNORED:
        raise typer.BadParameter(f"there are {len(ignore)} regions; give at most {MAX_IGNORED}", param_hint="--ignore")
    live_end = LiveEnd(duration, until, end_is_done)
    if resume and live_end.options:
        raise typer.BadParameter(
            f"a live source cannot be resumed; leave out {live_end.options}", param_hint="--resume"
        )
    if chapters is not None and chapters.notice:
        say(chapters.notice)
    choices = LectureChoices(
        requests[0].participant if len(requests) == 1 else None,
        class_only,
        RETENTION_S if retention is None else round(retention * DAY_S),
        min_group or (MIN_GROUP if class_only else 1),
        begin,
        end,
        tuple(ignore or ()),
    )
    settings = IngestSettings(
        lecture,
        fps or DEFAULT_FPS,
        choices,
        max_bytes,
        json,
        shown_cells(redis) if redis is not None and redis not in map(os.environ.get, REDIS_VARIABLES) else None,
        roster,
        course=course,
        quiet=log_format is LogFormat.JSON,
        webhook=webhook,
        chapters=chapters.chapters if chapters is not None else (),
    )
    with ExitStack() as stack:
        if metrics_port is not None:
            stack.enter_context(metrics_served(metrics_host, metrics_port))
        # Nothing is started for a source that cannot be opened. But where to open a resumed one is stored in Redis.
        opened: Source | None = None
        if archive is not None:
            _check_archive(archive)
        if not resume:
            excerpt = Excerpt(begin, end)
            if redis is not None and is_push(requests[0].source):
                with connected_cells(redis, writing=True) as cells:  # name an unusable Redis before a long wait
                    cells.client_of(lecture) if lecture else cells.each(redis_py.Redis.ping)
            opened = stack.enter_context(
                open_sources(requests, settings.fps, give_up, video=stream, excerpt=excerpt, end=live_end)
            )
            _check_regions(choices.ignored, opened, len(requests))
        cells = stack.enter_context(connected_cells(redis, writing=True, archive=archive))
        if opened is None:
            given = {"begin": begin, "end": end, "ignored": choices.ignored or None, "min_group": min_group}
            settings, opened = _resumed(settings, fps, given, requests, stream, cells)
            stack.enter_context(opened)
        count = workers or usable_cores()
        own = Workers(cells.cells[0].url, count, models) if redis is None else nullcontext()
        code = ingest_lecture(settings, opened, cells, own)
    raise typer.Exit(code)


def _resumed(
    settings: IngestSettings,
    fps: float | None,
    given: Mapping[str, Any],
    requests: Sequence[SourceRequest],
    stream: str | None,
    cells: Cells,
) -> tuple[IngestSettings, Source]:
    """The settings that resume a lecture, and its source, opened at the first frame that was not fed.

    `fps` is the rate that the user gave, `given` the choices; without one (None), the lecture's own is used.
    """
    assert settings.lecture is not None
    interrupted = read_interrupted(cells.client_of(settings.lecture), settings.lecture)
    if interrupted.status == "failed" and len(requests) > 1:
        raise LectureNotResumable(
            f"lecture {settings.lecture} failed because of one of several recordings, and the others were fed to their "
            f"end; run `producer forget {settings.lecture}` and ingest them again"
        )
    fps = fps or interrupted.fps
    own = interrupted.choices
    if settings.choices.class_only and not own.class_only:
        raise LectureNotResumable(
            f"lecture {settings.lecture} has published single people since its start; leave out --class-only, or run "
            f"`producer forget {settings.lecture}` and ingest the recording again"
        )
    choices = structs.replace(
        settings.choices,
        class_only=own.class_only,
        retention=own.retention,
        **{name: getattr(own, name) if value is None else value for name, value in given.items()},
    )
    excerpt = Excerpt(choices.begin, choices.end)
    source = open_sources(requests, fps, first=interrupted.frames, video=stream, excerpt=excerpt)
    if source.live:
        source.close()
        raise LectureNotResumable(f"{source.label.shown}: is live; only a recording can be resumed")
    return structs.replace(settings, fps=fps, choices=choices, resumed=interrupted), source


def _check_archive(archive: Archive) -> None:
    """Raise ArchiveUnusable, unless the archive may be back at the end of the lecture."""
    try:
        archive.place.check()
    except ArchiveUnusable as failure:
        if not failure.away:
            raise
        say(f"{failure}; the lecture begins, and is archived at its end if that works then")


def _check_regions(ignored: Sequence[PixelBox], source: Source, recordings: int) -> None:
    """Raise BadParameter for a region outside of the picture of a single source."""
    for x, y, width, height in ignored:
        if recordings == 1 and (x >= source.width or y >= source.height):
            raise typer.BadParameter(
                f"{x},{y},{width},{height} is outside of the picture of {source.width}x{source.height} pixels",
                param_hint="--ignore",
            )
