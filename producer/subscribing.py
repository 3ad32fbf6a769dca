"""What other programs import: a lecture's events, and the list of lectures.

from producer import follow, lectures

for event in follow("g9", "redis://HOST:6379"):
    print(event)
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext

from redis import Redis

from producer.archive.archive import ARCHIVE_VARIABLE, Archive
from producer.cells.connections import Cells, one_cell
from producer.cells.naming import REDIS_VARIABLES, read_cells
from producer.embedded.server import private_redis
from producer.reading import follow as following
from producer.reading.choosing import store_of
from producer.reading.lectures import Lecture, all_lectures
from worker.contract.connection import connect
from worker.contract.messages import Event


def follow(
    lecture: str,
    redis: str | Redis | None = None,
    participant: str | None = None,
    from_start: bool = True,
    archive: str | None = None,
) -> Iterator[Event]:
    """The events of `lecture`, or of one participant, until its EndEvent, which is the last; it waits for new ones.

    `redis` is a URL, a list of cells as in `--redis`, or a client; by default what LECTUREPULSE_CELLS or REDIS_URL
    names, or else the private Redis of this user. A lecture that is no longer in Redis is read from `archive`, which is
    as in `--archive`; by default what LECTUREPULSE_ARCHIVE names. Without `from_start` only new events come. The types
    of events are in `worker.contract.messages`.

    Raises, at the first event: ValueError if `lecture` is not an id or `redis` cannot be used,
    `producer.reading.lectures.LectureUnknown`, `producer.reading.follow.ParticipantUnknown`,
    `worker.contract.connection.RedisUnusable`. Later: LectureForgotten, LectureUnreadable, redis.RedisError. Of the
    archive: `producer.archive.place.ArchiveUnusable`, `producer.archive.lecture.ArchiveDamaged`.
    """
    with _cells(redis, archive) as cells:
        yield from following.follow(store_of(cells, lecture), lecture, participant, from_start)


def lectures(redis: str | Redis | None = None, archive: str | None = None) -> list[Lecture]:
    """The lectures that are kept, the oldest first, each with its hash (`info`) and its ledger.

    `redis` and `archive` are as in `follow`. Raises `worker.contract.connection.RedisUnusable`, also if one of several
    cells does not answer, redis.RedisError, ArchiveUnusable and ArchiveDamaged.
    """
    with _cells(redis, archive) as cells:
        found, missing = all_lectures(cells)
    if missing:
        raise missing[0]
    return found


@contextmanager
def _cells(redis: str | Redis | None, archive: str | None) -> Iterator[Cells]:
    """The cells that `redis` names; connections that were made here are closed afterwards."""
    if not isinstance(redis, str | Redis | None):
        raise ValueError(f"{type(redis).__name__} is neither a URL nor a redis.Redis")
    address = archive or os.environ.get(ARCHIVE_VARIABLE)
    kept = Archive(address) if address else None
    if isinstance(redis, Redis):
        if redis.get_encoder().decode_responses:
            raise ValueError("the client has decode_responses=True; give one without, because events are bytes")
        yield one_cell(redis, kept)
        return
    url = redis or next(filter(None, map(os.environ.get, REDIS_VARIABLES)), None)
    with (
        private_redis() if url is None else nullcontext(url) as found,
        closing(Cells(read_cells(found), lambda cell: connect(cell.url), kept)) as cells,
    ):
        yield cells
