"""One channel of a lecture for programs: its events as they were published, page by page or as they come."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import redis
from msgspec import Struct
from starlette.concurrency import run_in_threadpool

from worker.contract.messages import EndEvent, Event, decode_event
from worker.contract.streams import EVENT_FIELD

START = "0"
"""The position before a stream's first event."""

MOST_EVENTS = 10_000
"""Events in one answer: some 6 MB."""

# Events sent at once, and how often Redis is asked for more.
STEP = 100
LOOK_AGAIN_S = 0.25

_POSITION = re.compile(r"[0-9]{1,20}(-[0-9]{1,20})?")


class Told(Struct, frozen=True):
    """An event, as it was published, at its `position` in the stream.

    `time` is the lecture's start plus the event's media time, in milliseconds since 1970; null for the end.
    """

    position: str
    time: int | None
    event: msgspec.Raw


class Page(Struct, frozen=True):
    """Some events; `next` is the position behind which there are more, null if none is there now."""

    events: list[Told]
    next: str | None


def checked_position(text: str) -> str:
    """`text`, if it is a position in a stream; ValueError if not."""
    if not _POSITION.fullmatch(text) or any(int(part) >= 2**64 for part in text.split("-")):
        raise ValueError(f"{text[:80]!r} is no position in a stream; give one that came with an event, or {START}")
    return text


def read_page(client: redis.Redis, stream: str, started: float, since: str, limit: int) -> Page:
    """The first `limit` events behind the position `since`."""
    entries = _behind(client, stream, since, limit)
    told = [Told(each.position, _time(each.event, started), msgspec.Raw(each.body)) for each in entries if each.event]
    return Page(told, entries[-1].position if len(entries) == limit else None)


def is_over(client: redis.Redis, stream: str, since: str) -> bool:
    """Whether nothing will come behind the position `since`, because the lecture's end lies there or before it."""
    answer: Any = client.xrevrange(stream, count=1)
    last = [_Entry.read(position, fields) for position, fields in answer]
    return bool(last) and isinstance(last[0].event, EndEvent) and _order(last[0].position) <= _order(since)


async def follow_channel(client: redis.Redis, stream: str, since: str) -> AsyncIterator[tuple[str, bytes] | None]:
    """(position, JSON) of every event behind `since` as it comes, until the lecture's end; None while nothing comes."""
    while True:
        entries = await run_in_threadpool(_behind, client, stream, since, STEP)
        for entry in entries:
            since = entry.position
            if entry.event is not None:
                yield entry.position, entry.body
            if isinstance(entry.event, EndEvent):
                return
        if not entries:
            yield None
            await asyncio.sleep(LOOK_AGAIN_S)


class _Entry(Struct, frozen=True):
    """An entry of a stream; `event` is None where it holds none."""

    position: str
    body: bytes
    event: Event | None

    @classmethod
    def read(cls, position: bytes, fields: dict[bytes, bytes]) -> "_Entry":
        body = fields.get(EVENT_FIELD.encode(), b"")
        try:
            return cls(position.decode(), body, decode_event(body))
        except ValueError:
            return cls(position.decode(), body, None)


def _behind(client: redis.Redis, stream: str, since: str, count: int) -> list[_Entry]:
    streams: dict[Any, Any] = {stream: since}
    answer: Any = client.xread(streams, count=count)
    return [_Entry.read(position, fields) for _, entries in answer for position, fields in entries]


def _time(event: Event, started: float) -> int | None:
    return None if isinstance(event, EndEvent) else round((started + event.t) * 1000)


def _order(position: str) -> tuple[int, int]:
    milliseconds, _, number = position.partition("-")
    return int(milliseconds), int(number or 0)
