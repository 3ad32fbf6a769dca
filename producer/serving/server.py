"""The web server: one process with one thread for the pages, until a signal ends it."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Sequence
from contextlib import closing

import redis
import uvicorn
from redis.backoff import NoBackoff
from redis.retry import Retry

from producer.archive.archive import Archive
from producer.cells.connections import Cells
from producer.cells.naming import Cell
from producer.reading.analysis.names import Roster
from producer.serving import TOKEN
from producer.serving.access import Access, Guard
from producer.serving.application import Site
from producer.serving.changing import Changes
from producer.serving.connections import Connection
from producer.serving.scratch import scratch_folder
from worker.contract.connection import pool

# Seconds for Redis to connect and to answer. After that, pages say that Redis does not answer, and it is tried again.
REDIS_CONNECT_S = 2.0
REDIS_ANSWER_S = 3.0

# Milliseconds after which Linux closes a connection whose client reads nothing, so that another client can connect.
STALLED_MS = 60_000

# Seconds that open answers get to end when the server stops. Streams need one turn of their loop.
STOP_S = 2


class ServeRefused(Exception):
    """The server cannot listen on the given address; the message says why."""


def serve(
    listed: Sequence[Cell],
    redis_given: str | None,
    lecture: str | None,
    host: str,
    port: int,
    token: str | None,
    roster: Roster | None,
    archive: Archive | None,
    announce: Callable[[str], None],
) -> None:
    """Serve the pages of `lecture`, or of all lectures, from these cells, until a signal.

    `redis_given` is what the user gave as `--redis`, None for the private Redis. Recordings can be added and lectures
    forgotten, unless only one lecture is served. Without `token`, one is made if `host` is not loopback. `announce`
    gets the address to open, with a token that was made here. Raises ServeRefused.
    """
    # Pages do not wait for a lost Redis. They say that it is lost. Only a connection that was closed while idle is
    # retried.
    retry = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    with (
        _listening(host, port) as listener,
        closing(Cells(listed, lambda cell: pool(cell.url, retry, REDIS_ANSWER_S, REDIS_CONNECT_S), archive)) as cells,
        scratch_folder() as folder,
    ):
        address, bound = listener.getsockname()[:2]
        access = Access(address, bound, writable=lecture is None, token=token)
        site = Site(cells, lecture, roster, folder)
        changes = None
        if lecture is None:
            changes = Changes(folder, redis_given, paths=access.token is None)
        config = uvicorn.Config(
            Guard(site.application(changes), access),
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=STOP_S,
        )
        announce(_page(host, address, bound, f"${TOKEN}" if token else access.token))
        asyncio.run(_Server(config, site, changes).serve([listener]))


class _Server(uvicorn.Server):
    """A server that ends the streams before it waits for open answers, and then stops what it was ingesting."""

    def __init__(self, config: uvicorn.Config, site: Site, changes: Changes | None) -> None:
        super().__init__(config)
        self._site = site
        self._changes = changes

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._site.stop()
        closing = self._changes and asyncio.create_task(self._changes.additions.close(lambda: self.force_exit))
        await super().shutdown(sockets)
        if closing:
            await closing


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_MS)
            listener.bind(where)
            listener.listen(128)
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as failure:
        why = failure.strerror if isinstance(failure, OSError) else "not a valid host name"
        raise ServeRefused(f"cannot listen on {host} port {port}: {why}; choose others with --host, --port") from None
    return listener


def _page(host: str, address: str, port: int, token: str | None) -> str:
    """The address to open in a browser."""
    everywhere = ipaddress.ip_address(address).is_unspecified
    name = socket.gethostname() if everywhere else host
    shown = f"[{name}]" if ":" in name else name
    return f"http://{shown}:{port}/" + (f"?token={token}" if token else "")
