"""Moves a lecture that is over from Redis to the archive: writes its file, reads it back, and trims its streams."""

from collections.abc import Callable, Iterator
from typing import Any

import redis
from redis.client import Pipeline

from producer.archive.archive import Archive
from producer.archive.lecture import ArchiveDamaged, read, write
from producer.archive.place import ArchiveUnusable
from producer.archive.table import Head, Row
from producer.reading.choosing import has_streams
from producer.reading.follow import entries
from producer.reading.lectures import LectureForgotten, LectureUnknown, participants, read_lecture
from producer.reading.merging import LectureUnreadable, last_entries
from worker.contract.keys import LectureKeys
from worker.contract.lecture_hash import LectureInfo
from worker.contract.lifetimes import ARCHIVED_S, RETENTION_S
from worker.contract.messages import EmotionEvent, EndEvent, encode

# Fields of the hash that are of no use without Redis.
LEFT_OUT = (b"feed", b"chunks", b"archived")


class LectureRunning(Exception):
    """A lecture that cannot be archived because it is not over."""

    def __init__(self, lecture: str) -> None:
        super().__init__(f"lecture {lecture!r} is not over, so it cannot be archived yet")


class RedisFull(Exception):
    """A Redis that is so full that it cannot be noted there that a lecture is archived."""

    def __init__(self, lecture: str) -> None:
        super().__init__(f"Redis is full, so no stream of {lecture!r} is trimmed; raise maxmemory, or forget lectures")


ARCHIVING_FAILURES = (
    ArchiveUnusable,
    ArchiveDamaged,
    LectureForgotten,
    LectureRunning,
    LectureUnknown,
    LectureUnreadable,
    RedisFull,
)
"""Why a lecture cannot be archived. It stays in Redis as it was."""


def moved(info: LectureInfo) -> bool:
    """Whether all events of a lecture were archived. Its streams may be gone."""
    return info.archived is not None and info.archived == info.ended


def archive_lecture(client: redis.Redis, archive: Archive, name: str) -> None:
    """Write the lecture `name` to the archive, in place of an older one, and trim its streams.

    Nothing is lost if this fails: the streams are trimmed only when all rows were read back. Raises LectureRunning,
    LectureUnknown, LectureUnreadable, LectureForgotten, RedisFull, ArchiveUnusable, ArchiveDamaged and
    redis.RedisError.
    """
    keys = LectureKeys(name)
    info = read_lecture(client, name).info
    if info.status == "running":
        raise LectureRunning(name)
    if moved(info) and not has_streams(client, keys):
        raise ArchiveUnusable(f"its events were moved to an archive before, and not to {archive.shown}")
    fields: Any = client.hgetall(keys.info)
    kept = {field.decode(): value.decode() for field, value in fields.items() if field not in LEFT_OUT}
    now, ttl = client.time()[0], client.ttl(keys.info)
    spans = participants(client, name)
    head = Head(name, kept, spans, now + (ttl if ttl >= 0 else info.retention or RETENTION_S))
    written = write(archive.place, head, _rows(client, keys, list(spans)))
    if read(archive.place, name).digest() != written:
        raise ArchiveUnusable(f"the archive {archive.shown} did not keep what was written of lecture {name!r}")

    def mark(pipe: Pipeline) -> None:
        status, started, ended = pipe.hmget(keys.info, "status", "started", "ended")
        if started != fields.get(b"started"):  # also if another lecture has the id by now
            archive.erase(name)
            raise LectureForgotten(name)
        pipe.multi()
        if status != b"running" and ended == fields.get(b"ended"):  # otherwise it was resumed, and is archived later
            pipe.hset(keys.info, "archived", ended or 0)

    _change(client, keys, mark)  # under WATCH: `forget` may erase the lecture at this moment
    trim(client, name)


def trim(client: redis.Redis, name: str) -> None:
    """Let the streams of an archived lecture expire after ARCHIVED_S, unless it was resumed or still can be.

    Raises RedisFull.
    """
    keys = LectureKeys(name)
    streams = [keys.class_, *map(keys.participant, participants(client, name))]
    with client.pipeline(transaction=False) as together:
        for stream in streams:
            together.ttl(stream)
        lifetimes = together.execute()
    late = [each for each, ttl in zip(streams, lifetimes, strict=True) if ttl == -1 or ttl > ARCHIVED_S]

    def expire(pipe: Pipeline) -> None:
        status, ended, archived = pipe.hmget(keys.info, "status", "ended", "archived")
        resumed = status == b"running" or archived != ended or pipe.exists(keys.state)
        pipe.multi()
        for stream in () if resumed else late:
            pipe.expire(stream, ARCHIVED_S)

    if late:
        _change(client, keys, expire)


def _change(client: redis.Redis, keys: LectureKeys, change: Callable[[Pipeline], None]) -> None:
    """Run a transaction under WATCH of the lecture's hash and state. Raises RedisFull."""
    try:
        client.transaction(change, keys.info, keys.state)
    except redis.OutOfMemoryError:  # a full Redis refuses every transaction
        raise RedisFull(keys.lecture) from None


def _rows(client: redis.Redis, keys: LectureKeys, participants: list[str]) -> Iterator[Row]:
    for position, event in entries(client, keys.lecture):
        participant = event.participant if isinstance(event, EmotionEvent) else None
        yield Row(participant, position.decode(), encode(event))
    for participant in participants:
        for position, event in last_entries(client, keys.participant(participant), 1):
            if isinstance(event, EndEvent):
                yield Row(participant, position.decode(), encode(event))
