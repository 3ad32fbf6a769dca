"""What a supervisor shows over HTTP: its metrics at `/metrics`, whether it is well at `/healthz`, and nothing else."""

import errno
import os
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from prometheus_client import CollectorRegistry, MetricsHandler

from worker.metrics.redis_collector import RedisCollector
from worker.metrics.workers_collector import FOLDER, WorkersCollector

log = structlog.get_logger()

# Of somebody who is connected and says nothing.
SILENCE_S = 10.0


class PortRefused(Exception):
    """The address cannot be listened at; `taken` where that is because somebody else listens there."""

    def __init__(self, host: str, port: int, failure: OSError | UnicodeError) -> None:
        self.taken = isinstance(failure, OSError) and failure.errno == errno.EADDRINUSE
        why = failure.strerror if isinstance(failure, OSError) else failure
        super().__init__(f"cannot serve metrics at {host}:{port}: {why}; choose another --metrics-port or host")


@contextmanager
def exposed(host: str, port: int, url: str, processes: Callable[[], int]) -> Iterator[None]:
    """Within, show what all processes count and what lies in the Redis at `url`; `processes` tells how many work.

    Raises PortRefused.
    """
    with closing(RedisCollector(url)) as in_redis:
        registry = CollectorRegistry()
        registry.register(WorkersCollector(Path(os.environ[FOLDER])))
        registry.register(in_redis)

        def ailment() -> str | None:
            if not processes():
                return "no worker process runs"
            return None if in_redis.answers() else "Redis does not answer"

        with _serving(host, port, partial(_Handler, registry, ailment)):
            log.info("metrics served", host=host, port=port)
            yield


class _Handler(MetricsHandler):
    timeout = SILENCE_S
    server_version, sys_version = "LecturePulse", ""

    def __init__(self, registry: CollectorRegistry, ailment: Callable[[], str | None], *request: Any) -> None:
        self.registry = registry
        self._ailment = ailment
        super().__init__(*request)  # in which it answers

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/metrics":
            super().do_GET()
        elif path == "/healthz":
            self._tell_health()
        else:
            self.send_error(404)

    def _tell_health(self) -> None:
        ailment = self._ailment()
        self.send_response(200 if ailment is None else 503)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.end_headers()
        self.wfile.write(f"{ailment or 'ok'}\n".encode())


class _Server(socketserver.ThreadingTCPServer):
    """Not http.server's, which asks the name service for its own name before it listens."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, family: int, address: Any, handler: Callable[..., MetricsHandler]) -> None:
        self.address_family = family
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked may leave before the answer. Anything else is a fault of ours."""
        if not isinstance(sys.exc_info()[1], OSError):
            log.exception("a request for metrics failed")


@contextmanager
def _serving(host: str, port: int, handler: Callable[..., MetricsHandler]) -> Iterator[None]:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        server = _Server(family, address, handler)
    except (OSError, UnicodeError) as failure:
        raise PortRefused(host, port, failure) from None
    with server:
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
