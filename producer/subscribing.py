"""What other programs import: a lecture's events, and the list of lectures.

from producer import follow, lectures

for event in follow("g9", "redis://HOST:6379"):
    print(event)
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext

from redis import Redis

from producer.cells.connections import Cells, one_cell
from producer.cells.naming import REDIS_VARIABLES, read_cells
from producer.embedded.server import private_redis
from producer.reading import follow as following
from producer.reading.lectures import Lecture, all_lectures
from worker.contract.connection import connect
from worker.contract.messages import Event


def follow(
    lecture: str, redis: str | Redis | None = None, participant: str | None = None, from_start: bool = True
) -> Iterator[Event]:
    """The events of `lecture`, or of one participant, until its EndEvent, which is the last; it waits for new ones.

    `redis` is a URL, a list of cells as in `--redis`, or a client; by default what LECTUREPULSE_CELLS or REDIS_URL
    names, or else the private Redis of this user. Without `from_start` only new events come. The types of events are in
    `worker.contract.messages`.

    Raises, at the first event: ValueError if `lecture` is not an id or `redis` cannot be used,
    `producer.reading.lectures.LectureUnknown`, `producer.reading.follow.ParticipantUnknown`,
    `worker.contract.connection.RedisUnusable`. Later: LectureForgotten, LectureUnreadable, redis.RedisError.
    """
    with _cells(redis) as cells:
        yield from following.follow(cells.client_of(lecture), lecture, participant, from_start)


def lectures(redis: str | Redis | None = None) -> list[Lecture]:
    """The lectures that are kept, the oldest first, each with its hash (`info`) and its ledger.

    `redis` is as in `follow`. Raises `worker.contract.connection.RedisUnusable`, also if one of several cells does not
    answer, and redis.RedisError.
    """
    with _cells(redis) as cells:
        found, down = all_lectures(cells)
    if down:
        raise down[0]
    return found


@contextmanager
def _cells(redis: str | Redis | None) -> Iterator[Cells]:
    """The cells that `redis` names; connections that were made here are closed afterwards."""
    if not isinstance(redis, str | Redis | None):
        raise ValueError(f"{type(redis).__name__} is neither a URL nor a redis.Redis")
    if isinstance(redis, Redis):
        if redis.get_encoder().decode_responses:
            raise ValueError("the client has decode_responses=True; give one without, because events are bytes")
        yield one_cell(redis)
        return
    url = redis or next(filter(None, map(os.environ.get, REDIS_VARIABLES)), None)
    with (
        private_redis() if url is None else nullcontext(url) as found,
        closing(Cells(read_cells(found), lambda cell: connect(cell.url))) as cells,
    ):
        yield cells
