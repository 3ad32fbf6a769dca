"""Events in Redis: publish one, read one from its stream entry, and end a lecture on all of its channels.

Pure by import: the pipeline is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec import UNSET
from msgspec.structs import replace

from worker.contract.keys import LectureKeys
from worker.contract.lecture_hash import LectureFields, as_hash
from worker.contract.lifetimes import RESUME_S
from worker.contract.limits import MAX_STREAM_EVENTS
from worker.contract.messages import EndEvent, Event, Scores, decode_event, encode

if TYPE_CHECKING:
    from redis.client import Pipeline

EVENT_FIELD = "event"
"""The field of a stream entry that holds the event's JSON."""

_FIELD = EVENT_FIELD.encode()

ABANDONED = "its producer is gone"
"""The reason in the end event of a lecture that nobody feeds any more."""


def publish(pipe: Pipeline, channel: str, event: Event) -> None:
    """Add the event to the stream (for replay), and publish it on the channel of the same name (live)."""
    body = encode(event)
    pipe.xadd(channel, {EVENT_FIELD: body}, maxlen=MAX_STREAM_EVENTS)
    pipe.publish(channel, body)


def entry_body(fields: Mapping[bytes, bytes]) -> bytes:
    """The event's JSON in a stream entry; empty if the entry has none."""
    return fields.get(_FIELD, b"")


def entry_event(fields: Mapping[bytes, bytes]) -> Event:
    """The event in a stream entry; ValueError if it holds none of version 1."""
    return decode_event(entry_body(fields))


def end_lecture(
    pipe: Pipeline,
    keys: LectureKeys,
    end: EndEvent,
    participants: Iterable[str],
    ended: float,
    retention: int,
    resumable: bool,
    usual: Mapping[str | None, Scores] | None = None,
) -> None:
    """Queue all writes that end a lecture: the end event on every channel, the final status, and the lifetimes.

    `ended` is in seconds since 1970, `retention` the seconds for which results are kept. `usual` is what the end event
    of each participant has as its `usual`, and under None that of the class. If the lecture is `resumable`, because its
    source was not fed to the end, its state is kept for RESUME_S. Otherwise it is deleted.
    """
    for participant in [None, *participants]:
        channel = keys.class_ if participant is None else keys.participant(participant)
        publish(pipe, channel, replace(end, usual=(usual or {}).get(participant, UNSET)))
        pipe.expire(channel, retention)
    fields: LectureFields = {"status": end.status, "ended": ended}
    if end.reason:
        fields["reason"] = end.reason
    pipe.hset(keys.info, mapping=as_hash(fields))
    pipe.expire(keys.info, retention)
    pipe.expire(keys.participants, retention)
    pipe.delete(keys.in_flight)
    pipe.expire(keys.state, min(RESUME_S, retention) if resumable else 0)
