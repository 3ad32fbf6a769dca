"""Lectures read as they go on: one reader for all who look at the same one.

Redis is asked a few times a second and never waited for, so that nothing that hangs holds a thread, or the end of this
program, for longer than one answer takes.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import redis
from starlette.concurrency import run_in_threadpool

from producer.reading.lectures import Lecture, LectureUnknown, read_lecture
from producer.reading.roster import Roster
from producer.serving.board import Board
from worker.contract.keys import LectureKeys
from worker.contract.messages import ClassEvent, Event, decode_event, encode
from worker.contract.streams import EVENT_FIELD

# How often Redis is asked: while a lecture goes on, when it is over or not there yet, and when Redis did not answer.
# The first is also how often pages are told of changes; more could not be read.
RUNNING_S = 0.5
RESTING_S = 2.0
LOST_S = 1.0

# Events read at once, from all streams together: some 50 ms of work, during which nobody else is served.
PAGE = 1000

# After the last page has gone a reader stays this long, so that a reload need not read everything again.
LINGER_S = 60.0

# As many participants as a lecture tells apart; of more, which can only be an error, the rest is left out.
MOST_PARTICIPANTS = 250

# A reader with 49 participants holds some 15 MB, one with 250 some 70.
MOST_READERS = 16

# Pages ask for what is new since the edition they know, which for most of them is the same one.
PATCHES_KEPT = 8

BEGINNING = b"0-0"


class TooManyReaders(Exception):
    """So many lectures are looked at already that there is no room for one more."""


class _Page(msgspec.Struct):
    """One look at a lecture: how it stands (None: there is none), and the events that are new.

    `anew`: it is not the lecture that was there before, or its past has changed; the events are from its beginning.
    """

    lecture: Lecture | None
    anew: bool = False
    events: list[Event] = []
    more: bool = False


class Reader:
    """Keeps `board` as the lecture is, while `run` runs."""

    def __init__(self, client: redis.Redis, lecture: str, roster: Roster | None = None) -> None:
        self.board = Board(lecture, roster)
        self._client = client
        self._lecture = lecture
        self._keys = LectureKeys(lecture)
        self._started: float | None = None
        self._positions: dict[str, bytes] = {}
        self._read = 0
        self._refreshed = -math.inf
        self._news = asyncio.Event()
        self._announced = self._patched = self.board.edition
        self._patches: dict[str | None, bytes] = {}

    async def run(self) -> None:
        """Look at the lecture, again and again, for ever."""
        while True:
            try:
                page = await run_in_threadpool(self._look)
            except (redis.RedisError, OSError):
                self.board.lose_connection()
                pause = LOST_S
            else:
                pause = self._take(page)
            self._announce()
            await asyncio.sleep(pause)

    async def news(self, edition: str | None, patience: float) -> bool:
        """Wait until the board is no longer as in `edition`, for `patience` seconds; whether that has come."""
        if self.board.edition == edition:
            try:
                await asyncio.wait_for(self._news.wait(), patience)
            except asyncio.TimeoutError:
                return False
        return True

    def patch(self, since: str | None) -> tuple[str, bytes]:
        """The newest edition, and the JSON of what is new in it since the edition `since`."""
        edition = self.board.edition
        if edition != self._patched or len(self._patches) >= PATCHES_KEPT:
            self._patched = edition
            self._patches.clear()
        if since not in self._patches:
            self._patches[since] = encode(self.board.patch(since))
        return edition, self._patches[since]

    def wake(self) -> None:
        """Let all who wait for news go on."""
        self._news.set()
        self._news = asyncio.Event()

    def _announce(self) -> None:
        if self.board.edition != self._announced:
            self._announced = self.board.edition
            self.wake()

    def _take(self, page: _Page) -> float:
        """Put a page on the board; the seconds until the next look."""
        if page.lecture is None:
            self.board.forget()
            return RESTING_S
        if page.anew:
            self.board.begin(page.lecture.info.fps)
        for event in page.events:
            self.board.add(event)
        now = time.monotonic()
        if now - self._refreshed >= RUNNING_S or not page.more:
            self._refreshed = now
            self.board.refresh()
            self.board.stand(page.lecture, caught_up=not page.more)
        if page.more:
            return 0
        return RUNNING_S if self.board.phase == "running" or page.events else RESTING_S

    def _look(self) -> _Page:
        """One look, in a thread of its own. Where it fails, it was as if it had not been tried."""
        try:
            lecture = read_lecture(self._client, self._lecture)
        except (LectureUnknown, ValueError):
            lecture = None
        if lecture is None or not 0 < lecture.info.fps < math.inf:  # there is none, or somebody else's hash
            self._started = None
            return _Page(None)
        # Fewer frames than were read: Redis came back with an older state, and what followed it may come again.
        anew = lecture.info.started != self._started or lecture.ledger.published < self._read
        positions = self._streams({} if anew else self._positions)
        count = max(PAGE // len(positions), 1)
        asked: dict[Any, Any] = dict(positions)
        answer: Any = self._client.xread(asked, count=count)
        page = _Page(lecture, anew)
        for stream, entries in answer:
            page.more = page.more or len(entries) == count
            page.events += filter(None, (_decoded(fields) for _, fields in entries))
            positions[stream.decode()] = entries[-1][0]
        self._started, self._positions = lecture.info.started, positions
        self._read = (0 if anew else self._read) + sum(isinstance(event, ClassEvent) for event in page.events)
        return page

    def _streams(self, known: dict[str, bytes]) -> dict[str, bytes]:
        """Stream -> the position up to which it was read, for the class and everybody who has been seen."""
        positions = {self._keys.class_: BEGINNING, **known}
        seen: Any = self._client.hkeys(self._keys.participants)
        for participant in sorted(seen)[:MOST_PARTICIPANTS]:
            positions.setdefault(self._keys.participant(participant.decode()), BEGINNING)
        return positions


def _decoded(fields: dict[bytes, bytes]) -> Event | None:
    """The event of a stream's entry; None where it holds none."""
    try:
        return decode_event(fields.get(EVENT_FIELD.encode(), b""))
    except ValueError:
        return None


class Readers:
    """The readers of all lectures that somebody looks at."""

    def __init__(self, client: redis.Redis, roster: Roster | None = None) -> None:
        self._client = client
        self._roster = roster
        self._running: dict[str, _Running] = {}

    @asynccontextmanager
    async def of(self, lecture: str) -> AsyncIterator[Reader]:
        """The reader of `lecture`, which runs at least as long as this context. Raises TooManyReaders."""
        running = self._running.get(lecture) or self._start(lecture)
        running.users += 1
        if running.end is not None:
            running.end.cancel()
            running.end = None
        try:
            yield running.reader
        finally:
            running.users -= 1
            if not running.users:
                running.end = asyncio.get_running_loop().call_later(LINGER_S, self._stop, lecture)

    def check_room(self, lecture: str) -> None:
        """Raise TooManyReaders where there is no room for a reader of `lecture`."""
        if lecture not in self._running and len(self._running) >= MOST_READERS and self._idle() is None:
            raise TooManyReaders(f"{MOST_READERS} lectures are looked at already; close the page of one of them")

    def stop(self) -> None:
        """End all of them."""
        for lecture in list(self._running):
            self._stop(lecture)

    def _start(self, lecture: str) -> "_Running":
        self.check_room(lecture)
        idle = self._idle()
        if len(self._running) >= MOST_READERS and idle is not None:
            self._stop(idle)
        running = self._running[lecture] = _Running(Reader(self._client, lecture, self._roster))
        return running

    def _idle(self) -> str | None:
        """A lecture that nobody looks at any more, if there is one."""
        return next((each for each, running in self._running.items() if not running.users), None)

    def _stop(self, lecture: str) -> None:
        running = self._running.pop(lecture, None)
        if running is not None:
            running.task.cancel()
            running.reader.wake()


class _Running:
    """A reader at work, how many look at it, and, if nobody does, when it ends."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.task = asyncio.create_task(reader.run())
        self.users = 0
        self.end: asyncio.TimerHandle | None = None
