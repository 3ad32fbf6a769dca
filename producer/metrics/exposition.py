"""What a producer shows over HTTP: its metrics at `/metrics`."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import disable_created_metrics, start_http_server


class MetricsRefused(Exception):
    """The address where metrics are to be served cannot be listened at."""


@contextmanager
def metrics_served(host: str, port: int) -> Iterator[None]:
    """Within, serve the metrics of this process at that address. Raises MetricsRefused."""
    disable_created_metrics()  # as many series again, which tell when counting began
    try:
        server, thread = start_http_server(port, host)
    except (OSError, UnicodeError) as failure:
        why = failure.strerror if isinstance(failure, OSError) else failure
        raise MetricsRefused(
            f"cannot serve metrics at {host}:{port}: {why}; choose another --metrics-port or host"
        ) from None
    with server:
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
