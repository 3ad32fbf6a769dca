"""The connection of a command to its Redis, or to its cells."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext

import redis

from producer.archive.archive import Archive
from producer.cells.connections import Cells
from producer.cells.naming import Cell, read_cells
from producer.commands.outage import RetryWithMessages
from producer.embedded.server import last_message, private_redis
from producer.reading.choosing import store_of
from producer.reading.lectures import Store
from worker.contract.connection import RedisUnusable, connect
from worker.contract.credentials import without_credentials


class RedisLost(Exception):
    """Redis was lost in the middle of the work."""


@contextmanager
def connected(url: str | None, lecture: str, archive: Archive | None) -> Iterator[Store]:
    """Where `lecture` is read (`store_of`); `url` and errors are as in `connected_cells`."""
    with connected_cells(url, archive=archive) as cells:
        yield store_of(cells, lecture)


@contextmanager
def connected_cells(url: str | None, writing: bool = False, archive: Archive | None = None) -> Iterator[Cells]:
    """The cells that `url` lists; often it is one Redis, or None for the private one. `writing` is as in `connect`.

    A Redis at `url` may be away for OUTAGE_S. The private one is on this machine and keeps everything in memory, so it
    does not come back. Raises CellsRefused, RedisUnusable if a Redis cannot be used, and RedisLost if it is lost inside
    this context.
    """

    def connect_to(cell: Cell) -> redis.Redis:
        retry = None if url is None else RetryWithMessages(without_credentials(cell.url))
        return connect(cell.url, retry, writing)

    with (
        private_redis() if url is None else nullcontext(url) as found,
        closing(Cells(read_cells(found), connect_to, archive)) as cells,
    ):
        try:
            yield cells
        except redis.RedisError as failure:
            if url is None:
                raise RedisLost(f"lost the private Redis: {failure}; {last_message()}") from None
            shown = without_credentials(cells.last.url)
            if isinstance(failure, redis.exceptions.NoPermissionError):
                raise RedisUnusable(f"Redis at {shown} does not let this user do that: {failure}") from None
            raise RedisLost(f"lost Redis at {shown}: {failure}") from None
