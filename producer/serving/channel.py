"""One channel of a lecture for programs: its published events, page by page or as they come."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Annotated, get_args

import msgspec
import redis
from msgspec import Meta, Struct
from starlette.concurrency import run_in_threadpool

from producer.archive.lecture import ArchivedLecture
from producer.reading.lectures import Store
from producer.serving.entries import Entry, entries_behind, last_entry
from worker.contract.keys import LectureKeys
from worker.contract.messages import EndEvent, Event

MAX_PAGE_EVENTS = 10_000
"""Events in one answer: about 6 MB."""

# Events that are read at once from Redis, and seconds between two reads while nothing comes. From the archive there are
# MAX_PAGE_EVENTS, because each read begins with the first row of the file.
STEP = 100
POLL_S = 0.25

_EVENT = {"oneOf": [{"$ref": f"#/components/schemas/{each.__name__}"} for each in get_args(Event)]}
"""What a raw event is, for the description of the API."""


class PublishedEvent(Struct, frozen=True):
    """An event as it was published, with its `position` in the stream.

    `time` is the lecture's start plus the event's media time, in milliseconds since 1970; null for the end.
    """

    position: str
    time: int | None
    event: Annotated[msgspec.Raw, Meta(extra_json_schema=_EVENT)]


class Page(Struct, frozen=True):
    """Some events. `next` is the position behind which there are more; null if there are none now."""

    events: list[PublishedEvent]
    next: str | None


class Channel(Struct, frozen=True):
    """The events of a participant, or of the class (None), in Redis or in the archive."""

    store: Store
    keys: LectureKeys
    participant: str | None

    def behind(self, since: str, count: int) -> list[Entry]:
        """The next entries behind the position `since`, at most `count`."""
        if isinstance(self.store, redis.Redis):
            return entries_behind(self.store, {self._stream: since}, count).get(self._stream, [])
        first = order(since)
        return list(islice((each for each in self._archived(self.store) if order(each.position) > first), count))

    def is_running(self) -> bool:
        """Whether the lecture is there and not over, so that new events may come."""
        return isinstance(self.store, redis.Redis) and self.store.hget(self.keys.info, "status") == b"running"

    def last(self) -> Entry | None:
        """The newest entry; None if there is none."""
        if isinstance(self.store, redis.Redis):
            return last_entry(self.store, self._stream)
        return next(iter(deque(self._archived(self.store), maxlen=1)), None)

    @property
    def _stream(self) -> str:
        return self.keys.class_ if self.participant is None else self.keys.participant(self.participant)

    def _archived(self, lecture: ArchivedLecture) -> Iterator[Entry]:
        return (Entry(row.position, row.event, event) for row, event in lecture.channel(self.participant))


def read_page(channel: Channel, started: float, since: str, limit: int) -> Page:
    """The first `limit` events behind the position `since`."""
    entries = channel.behind(since, limit)
    events = [
        PublishedEvent(each.position, _time(each.event, started), msgspec.Raw(each.body))
        for each in entries
        if each.event
    ]
    return Page(events, entries[-1].position if len(entries) == limit else None)


def is_over(channel: Channel, since: str) -> bool:
    """Whether nothing follows the position `since`: the channel has its EndEvent, or the lecture is over without it."""
    over = not channel.is_running()  # asked first, because the end comes in the same transaction as the last events
    last = channel.last()
    if last is None:
        return over
    return (over or isinstance(last.event, EndEvent)) and order(last.position) <= order(since)


async def follow_channel(channel: Channel, since: str) -> AsyncIterator[tuple[str, bytes] | None]:
    """(position, JSON) of every event behind `since`, until the lecture's end; None while nothing comes."""
    step = STEP if isinstance(channel.store, redis.Redis) else MAX_PAGE_EVENTS
    while True:
        running = await run_in_threadpool(channel.is_running)
        found = await run_in_threadpool(channel.behind, since, step)
        for entry in found:
            since = entry.position
            if entry.event is not None:
                yield entry.position, entry.body
            if isinstance(entry.event, EndEvent):
                return
        if not found and not running:  # it was forgotten, or its EndEvent is lost
            return
        if not found:
            yield None
            await asyncio.sleep(POLL_S)


def _time(event: Event, started: float) -> int | None:
    return None if isinstance(event, EndEvent) else round((started + event.t) * 1000)


def order(position: str) -> tuple[int, int]:
    milliseconds, _, number = position.partition("-")
    return int(milliseconds), int(number or 0)
