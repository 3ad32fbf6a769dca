"""A lecture's events in order, live or from the start.

They are read from the streams, not from the channels: a subscriber to a channel loses events when its connection is
lost.
"""

from collections.abc import Callable, Iterator
from typing import cast

import redis

from producer.archive.lecture import ArchivedLecture
from producer.reading.lectures import LectureForgotten, LectureUnknown, Store, read_lecture
from producer.reading.merging import Entry, MergedStreams, OneStream, known_participants, last_entries
from worker.contract.keys import LectureKeys
from worker.contract.messages import EndEvent, Event, FinalStatus

_Events = MergedStreams | OneStream

# How long a read waits. Ctrl-C, a forgotten lecture and the caller's own checks are noticed after this time.
WAKE_MS = 1000


class ParticipantUnknown(Exception):
    """A lecture that is over has no such participant."""


def follow(
    store: Store,
    lecture: str,
    participant: str | None = None,
    from_start: bool = True,
    while_waiting: Callable[[], None] = lambda: None,
) -> Iterator[Event]:
    """All events of `lecture`, or those of one participant, until its EndEvent, which comes last and once.

    The events of a frame come together: its participants by id, then the class. If the first sightings of a new
    participant are published late, they come after the class event of their frame; so does a new slide. If
    `from_start` is false, only new events come; a lecture that is over then has only its EndEvent. `while_waiting` is
    called about once a second while no event comes. An exception that it raises ends the iteration. No event comes
    twice, even if Redis crashed and lost it, and it is published again.

    Raises LectureUnknown, ParticipantUnknown if the lecture is over, LectureForgotten if that happens meanwhile,
    LectureUnreadable for an entry that holds no event, ArchiveDamaged, ArchiveUnusable, and redis.RedisError.
    """
    if isinstance(store, ArchivedLecture):
        yield from _archived(store, participant, from_start)
        return
    client = store
    keys = LectureKeys(lecture)
    status = _status(client, keys)
    if status is None:
        raise LectureUnknown(lecture)
    events: _Events = MergedStreams(client, keys)
    if participant is not None:
        if status != b"running":
            _check_participant(client, keys, participant)
        events = OneStream(client, keys.participant(participant))
    if not from_start:
        events.skip_to_end()
    while True:
        came = False
        for _, event in events.read(WAKE_MS):
            came = True
            yield event
            if isinstance(event, EndEvent):
                return
        if not came:
            status = _status(client, keys)
            if status is None:
                raise LectureForgotten(lecture)
            if status != b"running":
                yield from (event for _, event in _remainder(client, keys, events))
                return
            while_waiting()


def replay(store: Store, lecture: str) -> Iterator[Event]:
    """The events that `lecture` has now, in the order of `follow`; the last is an EndEvent if the lecture is over."""
    if isinstance(store, ArchivedLecture):
        return store.events()
    return (event for _, event in entries(store, lecture))


def entries(client: redis.Redis, lecture: str) -> Iterator[Entry]:
    """The events of `replay` with their positions in their streams."""
    keys = LectureKeys(lecture)
    status = _status(client, keys)
    if status is None:
        raise LectureUnknown(lecture)
    events = MergedStreams(client, keys)
    yield from _all_there(events) if status == b"running" else _remainder(client, keys, events)


def _status(client: redis.Redis, keys: LectureKeys) -> bytes | None:
    return cast(bytes | None, client.hget(keys.info, "status"))


def _check_participant(client: redis.Redis, keys: LectureKeys, participant: str) -> None:
    if not client.exists(keys.participant(participant)):
        known = known_participants(client, keys)
        if participant in known:
            raise ParticipantUnknown(
                f"the events of participant {participant!r} of lecture {keys.lecture!r} are lost: their stream was "
                "evicted, deleted or expired"
            )
        names = ", ".join(known) or "none"
        raise ParticipantUnknown(f"lecture {keys.lecture!r} has no participant {participant!r}; it has {names}")


def _archived(lecture: ArchivedLecture, participant: str | None, from_start: bool) -> Iterator[Event]:
    """`follow`, for a lecture of the archive."""
    if participant is not None and participant not in lecture.participants:
        names = ", ".join(sorted(lecture.participants)) or "none"
        raise ParticipantUnknown(f"lecture {lecture.id!r} has no participant {participant!r}; it has {names}")
    events = lecture.events() if participant is None else (event for _, event in lecture.channel(participant))
    for event in events:
        if from_start or isinstance(event, EndEvent):
            yield event


def _remainder(client: redis.Redis, keys: LectureKeys, events: _Events) -> Iterator[Entry]:
    """The events between the last read and the lecture's end, and the EndEvent even if the stream has none."""
    for position, event in _all_there(events):
        yield position, event
        if isinstance(event, EndEvent):
            return
    yield from events.rest()
    yield _end(client, keys)


def _end(client: redis.Redis, keys: LectureKeys) -> Entry:
    """The end of a lecture that is over, from the stream of the class; if that is lost, from the lecture's hash."""
    for position, event in last_entries(client, keys.class_, 1):
        if isinstance(event, EndEvent):
            return position, event
    try:
        lecture = read_lecture(client, keys.lecture)
    except LectureUnknown:
        raise LectureForgotten(keys.lecture) from None
    position = b"%d-0" % round((lecture.info.ended or lecture.info.started) * 1000)  # Redis' own for that time
    return position, EndEvent(keys.lecture, cast(FinalStatus, lecture.info.status), lecture.info.reason, lecture.ledger)


def _all_there(events: _Events) -> Iterator[Entry]:
    more = True
    while more:
        more = False
        for entry in events.read(None):
            more = True
            yield entry
