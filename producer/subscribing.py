"""What other programs import: a lecture's events, and the list of lectures.

from producer import follow, lectures

for event in follow("g9", "redis://HOST:6379"):
    print(event)
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from redis import Redis

from producer.embedded.server import private_redis
from producer.reading import follow as following
from producer.reading.lectures import Lecture, list_lectures
from worker.contract.connection import connect
from worker.contract.messages import Event


def follow(
    lecture: str, redis: str | Redis | None = None, participant: str | None = None, from_start: bool = True
) -> Iterator[Event]:
    """The events of `lecture`, or of one participant, until its EndEvent, which is the last; it waits for new ones.

    `redis` is a URL or a client; by default the URL in REDIS_URL, or else the private Redis of this user. Without
    `from_start` only new events come. The types of events are in `worker.contract.messages`.

    Raises, at the first event: ValueError if `lecture` is no id, `producer.reading.lectures.LectureUnknown`,
    `producer.reading.follow.ParticipantUnknown`, `worker.contract.connection.RedisUnusable`. Later: LectureForgotten,
    LectureUnreadable, redis.RedisError.
    """
    with _connected(redis) as client:
        yield from following.follow(client, lecture, participant, from_start)


def lectures(redis: str | Redis | None = None) -> list[Lecture]:
    """The lectures that are kept, the oldest first, each with its hash (`info`) and its ledger.

    `redis` is as in `follow`. Raises `worker.contract.connection.RedisUnusable`, redis.RedisError.
    """
    with _connected(redis) as client:
        return list_lectures(client)


@contextmanager
def _connected(redis: str | Redis | None) -> Iterator[Redis]:
    """The client itself, or one for the URL that is closed afterwards."""
    if isinstance(redis, Redis):
        yield redis
        return
    url = redis or os.environ.get("REDIS_URL")
    with private_redis() if url is None else nullcontext(url) as found, connect(found) as client:
        yield client
