"""Readers of running lectures: one reader for all pages of the same lecture.

A reader polls Redis and never uses a blocking command. So if Redis hangs, a thread, or the end of this program, waits
no longer than the timeout of one answer.
"""

import asyncio
import math
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import msgspec
import redis
from starlette.concurrency import run_in_threadpool

from producer.cells.connections import Cells
from producer.reading.analysis.names import Roster
from producer.reading.lectures import Lecture, LectureUnknown, read_lecture
from producer.serving.board import Board
from producer.serving.entries import START, entries_behind
from worker.contract.connection import RedisUnusable
from worker.contract.keys import LectureKeys, checked_id
from worker.contract.limits import MAX_PARTICIPANTS
from worker.contract.messages import ClassEvent, Event, ParticipantSpan, decode, encode

# Seconds between two polls: of a running lecture, of one that is over or not there yet, and while Redis does not
# answer. Pages get changes at most every RUNNING_S, because people cannot read faster.
RUNNING_S = 0.5
RESTING_S = 2.0
LOST_S = 1.0

# Entries read at once from all streams together. They take about 50 ms of work, and other requests wait for that time.
MAX_ENTRIES = 1000

# A reader stays for this time after its last page was closed, so that a reload does not read everything again.
LINGER_S = 60.0

# A reader with 49 participants takes about 15 MB, one with 250 about 70 MB. A reader takes one place, and another one
# for every PLACE_PARTICIPANTS.
MAX_READERS = 16
PLACE_PARTICIPANTS = 250

# Patches that are kept for other pages; most pages ask for changes since the same edition.
MAX_PATCHES = 8


class TooManyReaders(Exception):
    """The pages of MAX_READERS lectures, or of fewer large ones, are open already."""


class _Update(msgspec.Struct):
    """The lecture at the time of a poll (None: there is none), and its new events.

    `restarted` means that this is another lecture, or its past has changed; the events are from its beginning. `more`
    means that Redis has more new events. `spans` are those of all participants, read before the events.
    """

    lecture: Lecture | None
    restarted: bool = False
    events: list[Event] = []
    more: bool = False
    spans: dict[str, ParticipantSpan] = {}


class Reader:
    """Keeps `board` up to date while `run` runs. Once it is `stopped`, nothing new comes."""

    def __init__(self, cells: Cells, lecture: str, roster: Roster | None = None) -> None:
        self.board = Board(lecture, roster)
        self._cells = cells
        self._lecture = lecture
        self._keys = LectureKeys(lecture)
        self.places = 1
        self.stopped = False
        self._started: float | None = None
        self._positions: dict[str, str] = {}
        self._read = 0
        self._refreshed = -math.inf
        self._news = asyncio.Event()
        self._announced = self.board.edition
        self._patches: dict[tuple[str, str | None], bytes] = {}

    async def run(self) -> None:
        """Poll the lecture for ever."""
        while True:
            try:
                update = await run_in_threadpool(self._poll)
            except (RedisUnusable, redis.RedisError, OSError):
                self.board.lose_connection()
                pause = LOST_S
            else:
                pause = self._apply(update)
                self._announce()
                await run_in_threadpool(self.board.search)
            self._announce()
            await asyncio.sleep(pause)

    async def news(self, edition: str | None, timeout: float) -> bool:
        """Wait at most `timeout` seconds until the board differs from `edition`; whether it does."""
        if self.board.edition == edition:
            try:
                await asyncio.wait_for(self._news.wait(), timeout)
            except asyncio.TimeoutError:
                return False
        return True

    def patch(self, since: str | None) -> tuple[str, bytes]:
        """The newest edition, and the JSON of its changes since the edition `since`."""
        edition = self.board.edition
        if (edition, since) not in self._patches:
            if len(self._patches) >= MAX_PATCHES:
                self._patches.clear()
            self._patches[edition, since] = encode(self.board.patch(since))
        return edition, self._patches[edition, since]

    def wake(self) -> None:
        """Wake all that wait in `news`."""
        self._news.set()
        self._news = asyncio.Event()

    def _announce(self) -> None:
        if self.board.edition != self._announced:
            self._announced = self.board.edition
            self.wake()

    def _apply(self, update: _Update) -> float:
        """Bring the board up to date; the seconds until the next poll."""
        if update.lecture is None:
            self.board.forget()
            return RESTING_S
        self.places = 1 + len(update.spans) // PLACE_PARTICIPANTS
        if update.restarted:
            info = update.lecture.info
            self.board.begin(info.fps, (info.width, info.height), info.source)
        for event in update.events:
            self.board.add(event)
        now = time.monotonic()
        if now - self._refreshed >= RUNNING_S or not update.more:
            self._refreshed = now
            self.board.refresh()
            self.board.set_standing(update.lecture, not update.more, update.spans)
        if update.more:
            return 0
        return RUNNING_S if self.board.phase == "running" or update.events else RESTING_S

    def _poll(self) -> _Update:
        """Read what is new, in a thread of its own. A poll that fails changes nothing."""
        client = self._cells.client_of(self._lecture)
        try:
            lecture = read_lecture(client, self._lecture)
        except (LectureUnknown, ValueError):
            lecture = None
        if lecture is None or not 0 < lecture.info.fps < math.inf:  # there is none, or a stranger's hash
            self._started = None
            return _Update(None)
        # If there are fewer frames than were read, Redis came back with an older state, and events may come again.
        restarted = lecture.info.started != self._started or lecture.ledger.published < self._read
        spans = self._spans(client)
        positions = dict.fromkeys((self._keys.class_, *map(self._keys.participant, spans)), START)
        positions |= {} if restarted else self._positions
        count = max(MAX_ENTRIES // len(positions), 1)
        update = _Update(lecture, restarted, spans=spans)
        for stream, entries in entries_behind(client, positions, count).items():
            update.more = update.more or len(entries) == count
            update.events += [entry.event for entry in entries if entry.event is not None]
            positions[stream] = entries[-1].position
        self._started, self._positions = lecture.info.started, positions
        self._read = (0 if restarted else self._read) + sum(isinstance(event, ClassEvent) for event in update.events)
        return update

    def _spans(self, client: redis.Redis) -> dict[str, ParticipantSpan]:
        """The participants by id, with their spans. A field that holds no span is a stranger's."""
        stored: Any = client.hgetall(self._keys.participants)
        spans = {}
        for participant in sorted(stored)[:MAX_PARTICIPANTS]:
            with suppress(ValueError):
                name = checked_id(participant.decode(), "participant id")
                spans[name] = decode(stored[participant], ParticipantSpan)
        return spans


class Readers:
    """The readers of all lectures whose pages are open."""

    def __init__(self, cells: Cells, roster: Roster | None = None) -> None:
        self._cells = cells
        self._roster = roster
        self._running: dict[str, _Running] = {}

    @asynccontextmanager
    async def of(self, lecture: str) -> AsyncIterator[Reader]:
        """The reader of `lecture`. It runs at least as long as this context. Raises TooManyReaders."""
        running = self._running.get(lecture) or self._start(lecture)
        running.users += 1
        if running.end is not None:
            running.end.cancel()
            running.end = None
        try:
            yield running.reader
        finally:
            running.users -= 1
            if not running.users and not running.reader.stopped:
                running.end = asyncio.get_running_loop().call_later(LINGER_S, self._stop, running)

    def check_room(self, lecture: str) -> None:
        """TooManyReaders if there is no room for a reader of `lecture`."""
        taken = sum(each.reader.places for each in self._running.values() if each.users)
        if lecture not in self._running and taken >= MAX_READERS:
            raise TooManyReaders("no more lectures can be followed at the same time; close the pages of one")

    def stop(self) -> None:
        """End all of them."""
        for running in list(self._running.values()):
            self._stop(running)

    def _start(self, lecture: str) -> "_Running":
        self.check_room(lecture)
        while sum(each.reader.places for each in self._running.values()) >= MAX_READERS and (idle := self._idle()):
            self._stop(idle)
        running = self._running[lecture] = _Running(lecture, Reader(self._cells, lecture, self._roster))
        running.task.add_done_callback(partial(self._ended, running))
        return running

    def _idle(self) -> "_Running | None":
        """A reader without an open page, if there is one."""
        return next((each for each in self._running.values() if not each.users), None)

    def _ended(self, running: "_Running", task: asyncio.Task[None]) -> None:
        """Report the error of a reader that failed. The next page of its lecture starts another one."""
        if not task.cancelled() and (failure := task.exception()) is not None:
            sys.excepthook(type(failure), failure, failure.__traceback__)
            self._stop(running)

    def _stop(self, running: "_Running") -> None:
        if self._running.get(running.lecture) is running:  # and not a later reader of the same lecture
            del self._running[running.lecture]
        if running.end is not None:
            running.end.cancel()
        running.task.cancel()
        running.reader.stopped = True
        running.reader.wake()


class _Running:
    """A running reader, the number of its pages, and the timer that ends it after the last one."""

    def __init__(self, lecture: str, reader: Reader) -> None:
        self.lecture = lecture
        self.reader = reader
        self.task = asyncio.create_task(reader.run())
        self.users = 0
        self.end: asyncio.TimerHandle | None = None
