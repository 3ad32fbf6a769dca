"""Ingesting a lecture: the feed in a thread of its own, its events in the foreground, until the lecture is over."""

import re
import threading
import time
import unicodedata
from contextlib import AbstractContextManager
from itertools import count
from signal import SIGPIPE
from types import TracebackType

import redis
from msgspec import Struct

from producer.embedded.workers import Workers, WorkersEnded
from producer.feeding.feed import Feed, LectureExists
from producer.feeding.live import LiveSource
from producer.feeding.resuming import Interrupted
from producer.feeding.source import Source
from producer.listening import workers_listen
from producer.metrics import SOURCE_CONNECTED
from producer.presentation.clock import clock
from producer.reading.analysis.names import Names, Roster
from producer.reading.analysis.summary import ledger_line
from producer.reading.follow import follow
from producer.reading.lectures import forget
from producer.saying import discard_output, say
from producer.stopping import Stop, exit_code, stoppable
from producer.terminal.outputs import JsonLines, Output, Overview
from producer.terminal.progress import ProgressBar, StatusLine
from worker.contract.lifetimes import RETENTION_S
from worker.contract.messages import EndEvent

# After so long without an event it is worth a look whether any worker is there.
PATIENCE_S = 10.0

# A feed ends within one look at Redis; longer only if that does not answer.
FEED_STOP_S = 10.0
# After a second Ctrl-C nobody waits for that.
HURRIED_STOP_S = 1.0

# Of the 64 characters that an id may have, those for the source's name; the rest is for a number behind it.
LONGEST_NAME = 56


class Wish(Struct, frozen=True):
    """How to ingest. `lecture` None: named after the source. `participant`: the one person who is seen.

    `redis` is the URL given on the command line, as it may be shown: what another command has to be told as well.
    `roster` is what participants are called in what is printed. `class_only`: nothing is told per person, and for
    `retention_s` seconds is kept what is told. `resumed` is the lecture that is to be gone on with.
    """

    lecture: str | None
    fps: float
    participant: str | None
    max_bytes: int
    json: bool
    redis: str | None = None
    roster: Roster | None = None
    class_only: bool = False
    retention_s: int = RETENTION_S
    resumed: Interrupted | None = None


def ingest(wish: Wish, source: Source, client: redis.Redis, workers: AbstractContextManager[Workers | None]) -> int:
    """Feed `source` and show what comes of it; the exit code.

    That is 0 if the lecture is done, 1 if it ended with failed frames, short of what a file promised or with a live
    source lost, and 128 plus a signal's number if it was stopped: 130 by Ctrl-C, 143 by SIGTERM, 141 by whoever read
    its output and left. `workers` are this command's own, None if others do the work. Raises LectureExists,
    LectureNotResumable, LectureGone, LectureForgotten, WorkersEnded, redis.RedisError, and SystemExit at the second
    Ctrl-C.
    """
    lecture, feed = _started(wish, source, client)
    names = Names(wish.roster) if wish.roster is not None else None
    SOURCE_CONNECTED.set_function(lambda: not isinstance(source, LiveSource) or source.trouble is None)
    line = _line(lecture, source, feed)
    display = JsonLines(names) if wish.json else Overview(lecture, wish.redis, line, names, wish.class_only)
    try:
        with stoppable() as stop, workers as own, Feeding(feed, source, stop) as feeding, display:
            ingestion = Ingestion(client, lecture, source, feeding, stop, own)
            end = ingestion.follow(display)
    except WorkersEnded as ended:
        if ended.refused and wish.resumed is None:  # nothing was ever worked on, so there is nothing to keep
            forget(client, lecture)
        raise
    except SystemExit:
        say(f"left at once; lecture {lecture} is not finished, `producer forget {lecture}` erases it{_way_on(source)}")
        raise
    if not ingestion.unread:
        display.conclude(end)
    return _concluded(source, feed, end, stop)


def lecture_name(title: str) -> str:
    """A lecture id made of what its source is called."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_-]+", "-", plain).strip("-")[:LONGEST_NAME] or "lecture"


def _started(wish: Wish, source: Source, client: redis.Redis) -> tuple[str, Feed]:
    """The lecture's id and its feed. A name that nobody asked for gets a number if it is taken."""
    if wish.resumed is not None:
        assert wish.lecture is not None, "what is resumed was named"
        source_name, size = source.label.name, (source.width, source.height)
        wish.resumed.check(wish.lecture, source_name, wish.fps, *size, wish.participant)
        return wish.lecture, Feed.resume(client, wish.lecture, wish.resumed, wish.max_bytes)
    name = lecture_name(source.label.title)
    names = [wish.lecture] if wish.lecture else (name if n == 1 else f"{name}-{n}" for n in count(1))
    for lecture in names:
        try:
            feed = Feed.start(
                client,
                lecture,
                source.label.name,
                wish.fps,
                source.width,
                source.height,
                participant=wish.participant,
                max_bytes=wish.max_bytes,
                class_only=wish.class_only,
                retention_s=wish.retention_s,
            )
        except LectureExists:
            if wish.lecture:
                raise
        else:
            return lecture, feed
    raise AssertionError("numbers do not end")


def _line(lecture: str, source: Source, feed: Feed) -> ProgressBar | StatusLine:
    """What moves while the lecture is ingested: towards its end, if it has one."""
    if not isinstance(source, LiveSource):
        return ProgressBar(lecture, source.expected)
    started = time.monotonic()

    def text() -> str:
        frames, _, _, dropped = feed.progress
        connection = "" if source.trouble is None else "no connection, "
        counts = f"{frames} frames, {dropped} dropped, reconnects: {source.reconnects}"
        return f"ingesting {lecture}  {clock(time.monotonic() - started)}  {connection}{counts}"

    return StatusLine(text)


class Feeding:
    """The feed at work in a thread of its own, from entering this context; leaving it stops the feed."""

    def __init__(self, feed: Feed, source: Source, stop: Stop) -> None:
        self._feed = feed
        self._source = source
        self._stop = stop
        self._thread = threading.Thread(target=self._run, name="feeding", daemon=True)
        self._failure: Exception | None = None

    def __enter__(self) -> "Feeding":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.event.set()
        self._thread.join(HURRIED_STOP_S if kind is SystemExit else FEED_STOP_S)

    def attend(self) -> None:
        """To be called often. Raises what the feed ended with, if that was not its work."""
        if self._thread.is_alive():
            return
        if self._failure is not None:
            raise self._failure
        self._feed.renew()

    def _run(self) -> None:
        try:
            self._feed.run(self._source, self._stop.event)
        except Exception as failure:
            self._failure = failure


class Ingestion:
    """A lecture on its way: follows its events, and looks after all that can go wrong meanwhile."""

    def __init__(
        self,
        client: redis.Redis,
        lecture: str,
        source: Source,
        feeding: Feeding,
        stop: Stop,
        workers: Workers | None,
    ) -> None:
        self._client = client
        self._lecture = lecture
        self._source = source
        self._feeding = feeding
        self._stop = stop
        self._workers = workers
        self._said_stopping = False
        self._said_nobody_listens = False
        self._said_no_connection = False
        self._last_event = time.monotonic()
        self.unread = False
        """Whether standard output was closed by whoever read it."""

    def follow(self, display: Output) -> EndEvent:
        """Show every event; the last one. When nobody reads them any more, that is a wish to stop."""
        for event in follow(self._client, self._lecture, while_waiting=self._wait):
            self._last_event = time.monotonic()
            self._attend()
            if not self.unread:
                try:
                    display.show(event)
                except BrokenPipeError:
                    discard_output()
                    self.unread = True
                    self._stop.event.set()
            if isinstance(event, EndEvent):
                return event
        raise AssertionError("the last event is the end")

    def _wait(self) -> None:
        self._attend()
        if self._workers is None and not self._said_nobody_listens and self._waited_long():
            self._said_nobody_listens = True
            say("no worker takes frames from this Redis; start some there with `worker run`; waiting")

    def _waited_long(self) -> bool:
        return time.monotonic() - self._last_event > PATIENCE_S and not workers_listen(self._client)

    def _attend(self) -> None:
        if self._stop.signal is not None and not self._said_stopping:
            self._said_stopping = True
            say("stopping; what is in flight is still worked on (Ctrl-C again leaves at once)")
        if isinstance(self._source, LiveSource):
            self._attend_connection(self._source)
        if self._workers is not None:
            self._workers.check()
        self._feeding.attend()

    def _attend_connection(self, source: LiveSource) -> None:
        """Say of every loss of the connection, once, why."""
        trouble = source.trouble
        if trouble is not None and not self._said_no_connection and source.shortfall is None:
            say(f"{source.label.shown}: connection lost: {trouble}; trying again")
        self._said_no_connection = trouble is not None


def _concluded(source: Source, feed: Feed, end: EndEvent, stop: Stop) -> int:
    """Say what was not as it should be; the exit code."""
    if end.status == "stopped":
        at, frames = clock(feed.progress.t), feed.progress.frames
        done = f"what was fed is committed to lecture {end.lecture}{_way_on(source)}"
        say(f"stopped at {at} after {frames} frames; {done}")
        return exit_code(stop.signal or SIGPIPE)
    if source.shortfall is not None:
        say(f"{source.label.shown}: {source.shortfall}; what was there is in lecture {end.lecture}")
    if end.status == "done" and end.reason:
        say(f"lecture {end.lecture}: {end.reason}")
    if end.ledger.failed or end.ledger.dropped:
        say(f"lecture {end.lecture}: {ledger_line(end.ledger)}")
    return 0 if end.status == "done" else 1


def _way_on(source: Source) -> str:
    return "" if source.live else "; --resume goes on with it"
