"""Ingest a lecture: the feed runs in a thread, and the foreground shows the events until the lecture is over."""

import math
import re
import time
import unicodedata
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from signal import SIGPIPE
from typing import TYPE_CHECKING

import redis
from msgspec import Struct, structs

from producer.archive.archive import Archive
from producer.cells.connections import Cells
from producer.embedded.workers import Workers, WorkersEnded
from producer.feeding.background import BackgroundFeed
from producer.feeding.feed import Feed
from producer.feeding.resuming import Interrupted
from producer.feeding.sources.live import LiveSource
from producer.feeding.sources.recording import Recording
from producer.feeding.sources.source import Source
from producer.feeding.starting import LectureExists, NewLecture
from producer.listening import workers_listen
from producer.metrics.counters import SOURCE_CONNECTED
from producer.notifying.webhook import Webhook
from producer.presentation.clock import clock
from producer.reading.analysis.damage import DamagedFrames
from producer.reading.analysis.losses import Kept, loss_line
from producer.reading.analysis.names import Names, Roster
from producer.reading.analysis.summary import ledger_line
from producer.reading.archiving import ARCHIVING_FAILURES, archive_lecture
from producer.reading.follow import follow
from producer.reading.lectures import forget, losses_at_end
from producer.saying import say
from producer.stopping import Stop, exit_code, stoppable
from producer.terminal.outputs import JsonLines, Output, Overview
from producer.terminal.progress import ProgressBar, StatusLine
from worker.contract.chapters import Chapter
from worker.contract.command_line import LogLevel
from worker.contract.messages import EndEvent, LectureChoices
from worker.contract.standard_streams import OutputLost

if TYPE_CHECKING:
    from producer.notifying.notifier import Notifier

# Seconds without an event after which the producer checks whether any worker listens.
CHECK_WORKERS_AFTER_S = 10.0

# Characters of a lecture id that may come from the name of its source. An id has up to 64; a number may follow.
LONGEST_NAME = 56


class IngestSettings(Struct, frozen=True):
    """How to ingest a lecture.

    If `lecture` is None, the id is made from the source's name. `redis` is the URL given on the command line, without
    credentials; the commands suggested at the end contain it. `roster` has names for what is printed. `resumed` is the
    lecture to resume. Without `chapters`, those in the file are used. `course` is the id of the course that the lecture
    belongs to. If it is `quiet`, neither progress nor people are displayed, because the output is a log. `webhook` is
    notified of moments and of the end.
    """

    lecture: str | None
    fps: float
    choices: LectureChoices
    max_bytes: int
    json: bool
    redis: str | None = None
    roster: Roster | None = None
    resumed: Interrupted | None = None
    chapters: Sequence[Chapter] = ()
    course: str | None = None
    quiet: bool = False
    webhook: Webhook | None = None


def ingest(
    settings: IngestSettings, source: Source, cells: Cells, workers: AbstractContextManager[Workers | None]
) -> int:
    """Feed `source` and show the events. Returns the exit code.

    0: the lecture is done. 1: frames failed, more than one of a hundred is damaged, a file is shorter than declared, or
    a live source was lost. 128 plus the number of a signal: stopped by Ctrl-C (130) or SIGTERM (143). `workers` are
    this command's own; None if others do the work. Raises LectureExists, LectureNotResumable, LectureGone,
    LectureForgotten, WorkersEnded, redis.RedisError, OutputLost after it has stopped because the output cannot be
    written, and SystemExit at the second Ctrl-C.
    """
    client, lecture, feed = _started(settings, source, cells)
    names = Names(settings.roster) if settings.roster is not None else None
    SOURCE_CONNECTED.set_function(lambda: not (isinstance(source, LiveSource) and source.lost))
    label = source.label
    notice = f"{label.shown}: {label.notice}" if label.notice else None
    if notice:
        say(notice)
    display: Output = JsonLines(names)
    if not settings.json:
        progress = _progress(lecture, source, feed, settings.quiet)
        class_only = settings.choices.class_only
        display = Overview(lecture, settings.redis, progress, names, class_only, notice, settings.quiet)
    try:
        with (
            stoppable() as stop,
            _notifier(settings, stop) as notifier,
            workers as own,
            BackgroundFeed(feed, source, stop.event) as background,
            display,
        ):
            ingestion = _Ingestion(client, lecture, source, background, stop, own, notifier)
            end = ingestion.follow(display)
    except WorkersEnded as ended:
        if ended.refused and settings.resumed is None:  # no frame was ever processed, so there is nothing to keep
            forget(client, lecture)
        raise
    except SystemExit:
        say(f"exiting at once; lecture {lecture} is not finished, `producer forget {lecture}` erases it{_hint(source)}")
        raise
    losses = losses_at_end(client, lecture, ingestion.kept)
    if cells.archive is not None:
        _archive(client, cells.archive, lecture)
    if ingestion.output_lost is None:
        display.conclude(end, losses)
    if losses:
        say(f"lecture {lecture}: {loss_line(losses)}")
    if ingestion.damaged.count:
        advice = "check its connection" if source.live else "copy or download it again, if you can"
        say(f"{source.label.shown}: {ingestion.damaged.line()}; {advice}")
    code = _concluded(source, feed, end, stop)
    if ingestion.output_lost is not None and stop.signal is None:
        raise ingestion.output_lost
    return code


def _archive(client: redis.Redis, archive: Archive, lecture: str) -> None:
    """Archive the lecture, or say why that is not possible. It stays in Redis then."""
    try:
        archive_lecture(client, archive, lecture)
    except ARCHIVING_FAILURES as failure:
        say(f"{failure}; lecture {lecture} stays in Redis; `producer archive` tries again", LogLevel.ERROR)


def lecture_name(title: str) -> str:
    """A lecture id made from the title of its source."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_-]+", "-", plain).strip("-")[:LONGEST_NAME] or "lecture"


def _started(settings: IngestSettings, source: Source, cells: Cells) -> tuple[redis.Redis, str, Feed]:
    """The lecture's cell, its id and its feed. An id made from the source's name gets a number if it is taken."""
    chapters = list(settings.chapters or source.chapters)
    name = settings.lecture or lecture_name(source.label.title)
    new = NewLecture(
        name,
        source.label.name,
        settings.fps,
        source.width,
        source.height,
        settings.choices,
        chapters,
        settings.course,
        source.live,
        source.expected,
    )
    if settings.resumed is not None:
        settings.resumed.check(new)
        client = cells.client_of(name)
        return client, name, Feed.resume(client, name, settings.resumed, settings.max_bytes)
    number = 1
    while True:
        client = cells.client_of(new.lecture)
        try:
            return client, new.lecture, Feed.start(client, new, settings.max_bytes)
        except LectureExists:
            if settings.lecture:
                raise
            number += 1
            new = structs.replace(new, lecture=f"{name}-{number}")


def _notifier(settings: IngestSettings, stop: Stop) -> "AbstractContextManager[Notifier | None]":
    if settings.webhook is None:
        return nullcontext()
    from producer.notifying.notifier import Notifier  # late: numpy and scipy are slow to load

    known_s = -math.inf  # what a resumed lecture had before was sent before
    if settings.resumed is not None:
        known_s = (settings.choices.begin or 0.0) + settings.resumed.frames / settings.fps
    return Notifier(settings.webhook, settings.fps, stop, settings.roster, known_s)


def _progress(lecture: str, source: Source, feed: Feed, quiet: bool) -> ProgressBar | StatusLine:
    """The progress display: a bar for a recording, a line for a live source."""
    if not isinstance(source, LiveSource):
        return ProgressBar(lecture, source.expected, quiet)
    started = time.monotonic()

    def text() -> str:
        frames, _, dropped = feed.progress
        connection = "" if source.trouble is None else "no connection, "
        counts = f"{frames} frames, {dropped} dropped, reconnects: {source.reconnects}"
        return f"ingesting {lecture}  {clock(time.monotonic() - started)}  {connection}{counts}"

    return StatusLine(text, quiet)


class _Ingestion:
    """Follows the events of a lecture that is being ingested, and checks feed, source, workers and signals."""

    def __init__(
        self,
        client: redis.Redis,
        lecture: str,
        source: Source,
        background: BackgroundFeed,
        stop: Stop,
        workers: Workers | None,
        notifier: "Notifier | None",
    ) -> None:
        self._client = client
        self._lecture = lecture
        self._source = source
        self._background = background
        self._stop = stop
        self._workers = workers
        self._notifier = notifier
        self._said_stopping = False
        self._said_nobody_listens = False
        self._said_losses = 0
        self._last_event = time.monotonic()
        self.kept = Kept()
        self.damaged = DamagedFrames()
        self.output_lost: OutputLost | None = None
        """Why nothing can be written to standard output any more, if so."""

    def follow(self, display: Output) -> EndEvent:
        """Show every event, and return the last one. If the output cannot be written any more, stop feeding."""
        for event in follow(self._client, self._lecture, while_waiting=self._wait):
            self._last_event = time.monotonic()
            self.kept.add(event)
            self.damaged.add(event)
            if self._notifier is not None:
                self._notifier.add(event)
            self._check()
            if self.output_lost is None:
                try:
                    display.show(event)
                except OutputLost as lost:
                    self.output_lost = lost
                    self._stop.event.set()
            if isinstance(event, EndEvent):
                return event
        raise AssertionError("the last event is the end")

    def _wait(self) -> None:
        self._check()
        if self._workers is None and not self._said_nobody_listens and self._waited_long():
            self._said_nobody_listens = True
            say("no worker takes frames from this Redis; start some there with `worker run`; waiting")

    def _waited_long(self) -> bool:
        return time.monotonic() - self._last_event > CHECK_WORKERS_AFTER_S and not workers_listen(self._client)

    def _check(self) -> None:
        if self._stop.signal is not None and not self._said_stopping:
            self._said_stopping = True
            say("stopping; workers finish what is in flight (Ctrl-C again exits at once)")
        if isinstance(self._source, LiveSource):
            self._check_connection(self._source)
        if self._workers is not None:
            self._workers.check()
        if self._notifier is not None:
            self._notifier.check()
        self._background.check()

    def _check_connection(self, source: LiveSource) -> None:
        """If the connection was lost, say why, once for each loss, also if it is back already."""
        reconnects, trouble = source.reconnects, source.trouble  # in this order, because the feed may reconnect now
        losses = reconnects + (trouble is not None)
        if losses > self._said_losses and source.shortfall is None:
            self._said_losses = losses
            say(f"{source.label.shown}: connection lost: {trouble or source.last_trouble}; trying again")


def _concluded(source: Source, feed: Feed, end: EndEvent, stop: Stop) -> int:
    """Say what went wrong, if anything did. Returns the exit code."""
    if end.status == "stopped":
        at, frames = clock(feed.progress.t), feed.progress.frames
        say(f"stopped at {at} after {frames} frames; they are committed to lecture {end.lecture}{_hint(source)}")
        return exit_code(stop.signal or SIGPIPE)
    if source.shortfall is not None:
        more = "; --resume reads on" if isinstance(source, Recording) else ""
        say(f"{source.label.shown}: {source.shortfall}; everything else is in lecture {end.lecture}{more}")
    if end.status == "done" and end.reason:
        say(f"lecture {end.lecture}: {end.reason}")
    if end.ledger.failed or end.ledger.dropped:
        say(f"lecture {end.lecture}: {ledger_line(end.ledger)}")
    return 0 if end.status == "done" else 1


def _hint(source: Source) -> str:
    return "" if source.live else "; --resume continues it"
