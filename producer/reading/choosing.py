"""Chooses where a lecture is read: in its Redis if all of its events are there, otherwise in the archive."""

from typing import Any

import redis

from producer.archive.place import ArchiveUnusable
from producer.cells.connections import Cells
from producer.reading.lectures import Store
from producer.reading.merging import known_participants
from producer.saying import say
from worker.contract.keys import LectureKeys


def store_of(cells: Cells, lecture: str) -> Store:
    """Where `lecture` is read. If nobody has it, that is the Redis that would have it.

    Raises CellDown; and ArchiveUnusable or ArchiveDamaged if the archive is needed: the lecture is not in Redis, or its
    events were moved to the archive. If Redis only lost events, a line says what is wrong with the archive.
    """
    client = cells.client_of(lecture)
    keys = LectureKeys(lecture)
    stored: Any = client.hmget(keys.info, "status", "started", "archived")
    status, started, moved = stored
    if status == b"running" or (status is not None and has_streams(client, keys)):
        return client
    try:
        archived = cells.archive.lecture(lecture) if cells.archive is not None else None
    except ArchiveUnusable as failure:
        if status is None or moved:
            raise
        say(f"{failure}; reading what Redis has of lecture {lecture}")
        return client
    if archived is not None and (status is None or repr(archived.info.started).encode() == started):
        return archived
    if moved and cells.archive is None:
        raise ArchiveUnusable(
            f"the events of lecture {lecture!r} were moved to an archive; name it with --archive or "
            "LECTUREPULSE_ARCHIVE"
        )
    if moved and cells.archive is not None:
        raise ArchiveUnusable(f"the events of lecture {lecture!r} are no longer in the archive {cells.archive.shown}")
    return client


def has_streams(client: redis.Redis, keys: LectureKeys) -> bool:
    """Whether Redis has the stream of the class and of each participant."""
    streams = [keys.class_, *map(keys.participant, known_participants(client, keys))]
    return bool(client.exists(*streams) == len(streams))
