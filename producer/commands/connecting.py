"""The connection of a command to its Redis."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis

from producer.commands.outage import RetryWithMessages
from producer.embedded.server import last_message, private_redis
from worker.contract.connection import RedisUnusable, connect
from worker.contract.credentials import without_credentials


class RedisLost(Exception):
    """Redis was lost in the middle of the work."""


@contextmanager
def connected(url: str | None, writing: bool = False) -> Iterator[tuple[redis.Redis, str]]:
    """A client of the Redis at `url`, or of the private one, and its URL. `writing` as in `connect`.

    A Redis at `url` may be away for OUTAGE_S. The private one is on this machine and keeps everything in memory, so it
    does not come back. Raises RedisLost if Redis is lost inside this context, RedisUnusable if it cannot be used.
    """
    if url is None:
        with private_redis() as private, connect(private) as client:
            try:
                yield client, private
            except redis.RedisError as failure:
                raise RedisLost(f"lost the private Redis: {failure}; {last_message()}") from None
        return
    shown = without_credentials(url)
    with connect(url, RetryWithMessages(shown), writing) as client:
        try:
            yield client, url
        except redis.exceptions.NoPermissionError as failure:
            raise RedisUnusable(f"Redis at {shown} does not let this user do that: {failure}") from None
        except redis.RedisError as failure:
            raise RedisLost(f"lost Redis at {shown}: {failure}") from None
