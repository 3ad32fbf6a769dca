"""One channel of a lecture for programs: its published events, page by page or as they come."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, get_args

import msgspec
import redis
from msgspec import Meta, Struct
from starlette.concurrency import run_in_threadpool

from producer.serving.entries import entries_behind, last_entry
from worker.contract.messages import EndEvent, Event

MAX_PAGE_EVENTS = 10_000
"""Events in one answer: about 6 MB."""

# Events sent at once, and seconds between two reads while nothing comes.
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


def read_page(client: redis.Redis, stream: str, started: float, since: str, limit: int) -> Page:
    """The first `limit` events behind the position `since`."""
    entries = entries_behind(client, {stream: since}, limit).get(stream, [])
    events = [
        PublishedEvent(each.position, _time(each.event, started), msgspec.Raw(each.body))
        for each in entries
        if each.event
    ]
    return Page(events, entries[-1].position if len(entries) == limit else None)


def is_over(client: redis.Redis, stream: str, since: str) -> bool:
    """Whether the stream has its EndEvent at the position `since` or before it, so that nothing follows."""
    last = last_entry(client, stream)
    return last is not None and isinstance(last.event, EndEvent) and _order(last.position) <= _order(since)


async def follow_channel(client: redis.Redis, stream: str, since: str) -> AsyncIterator[tuple[str, bytes] | None]:
    """(position, JSON) of every event behind `since`, until the lecture's end; None while nothing comes."""
    while True:
        found = await run_in_threadpool(entries_behind, client, {stream: since}, STEP)
        for entry in found.get(stream, []):
            since = entry.position
            if entry.event is not None:
                yield entry.position, entry.body
            if isinstance(entry.event, EndEvent):
                return
        if not found:
            yield None
            await asyncio.sleep(POLL_S)


def _time(event: Event, started: float) -> int | None:
    return None if isinstance(event, EndEvent) else round((started + event.t) * 1000)


def _order(position: str) -> tuple[int, int]:
    milliseconds, _, number = position.partition("-")
    return int(milliseconds), int(number or 0)
