"""Stream entries for pages and programs. An entry without an event may be a stranger's; it is skipped."""

from typing import Any

import redis
from msgspec import Struct

from worker.contract.messages import Event
from worker.contract.streams import entry_body, entry_event

START = "0"
"""The position before a stream's first entry."""


class Entry(Struct, frozen=True):
    """An entry of a stream: its position, and the event with its JSON. `event` is None if it holds none."""

    position: str
    body: bytes
    event: Event | None


def entries_behind(client: redis.Redis, positions: dict[str, str], count: int) -> dict[str, list[Entry]]:
    """Stream -> its next entries behind the given position, at most `count`. Streams without any are left out."""
    streams: dict[Any, Any] = dict(positions)
    answer: Any = client.xread(streams, count=count)
    return {stream.decode(): [_entry(*each) for each in entries] for stream, entries in answer}


def last_entry(client: redis.Redis, stream: str) -> Entry | None:
    """The newest entry of a stream; None if it has none."""
    answer: Any = client.xrevrange(stream, count=1)
    return _entry(*answer[0]) if answer else None


def _entry(position: bytes, fields: dict[bytes, bytes]) -> Entry:
    event: Event | None
    try:
        event = entry_event(fields)
    except ValueError:
        event = None
    return Entry(position.decode(), entry_body(fields), event)
