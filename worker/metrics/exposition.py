"""The HTTP server of a supervisor: its metrics at `/metrics`, its health at `/healthz`, and nothing else."""

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

from worker.contract.environment import METRICS_FOLDER
from worker.metrics.redis_collector import RedisCollector
from worker.metrics.workers_collector import WorkersCollector

log = structlog.get_logger()

# Timeout of a client that is connected and sends nothing.
SILENCE_S = 10.0

# Each connection has a thread. Prometheus and the kubelet need one each; beyond this many, new ones are closed.
MAX_CONNECTIONS = 32


class PortRefused(Exception):
    """The server cannot listen at this address; `taken` if another program listens there."""

    def __init__(self, host: str, port: int, failure: OSError | UnicodeError) -> None:
        self.taken = isinstance(failure, OSError) and failure.errno == errno.EADDRINUSE
        why = failure.strerror if isinstance(failure, OSError) else failure
        super().__init__(f"cannot serve metrics at {host}:{port}: {why}; choose another --metrics-port or host")


@contextmanager
def exposed(host: str, port: int, url: str, processes: Callable[[], int]) -> Iterator[None]:
    """Within, serve the counters of all processes and the gauges of the Redis at `url`.

    `processes` returns the number of worker processes; without any, this process is unhealthy. Raises PortRefused.
    """
    with closing(RedisCollector(url)) as collector:
        registry = CollectorRegistry()
        registry.register(WorkersCollector(Path(os.environ[METRICS_FOLDER])))
        registry.register(collector)

        def problem() -> str | None:
            if not processes():
                return "no worker process runs"
            return None if collector.answers() else "Redis does not answer"

        with _serving(host, port, partial(_Handler, registry, problem)):
            log.info("metrics served", host=host, port=port)
            yield


class _Handler(MetricsHandler):
    timeout = SILENCE_S
    server_version, sys_version = "LecturePulse", ""

    def __init__(self, registry: CollectorRegistry, problem: Callable[[], str | None], *request: Any) -> None:
        self.registry = registry
        self._problem = problem
        super().__init__(*request)  # this handles the request

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/metrics":
            super().do_GET()
        elif path == "/healthz":
            self._answer_health()
        else:
            self.send_error(404)

    def _answer_health(self) -> None:
        problem = self._problem()
        self.send_response(200 if problem is None else 503)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.end_headers()
        self.wfile.write(f"{problem or 'ok'}\n".encode())


class _Server(socketserver.ThreadingTCPServer):
    """Unlike http.server's, it does not ask the name service for its own name before it listens."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, family: int, address: Any, handler: Callable[..., MetricsHandler]) -> None:
        self.address_family = family
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log the error, unless the client was gone before the answer."""
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
