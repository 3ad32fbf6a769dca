"""The HTTP endpoint `/metrics` of a producer."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import disable_created_metrics, start_http_server


class MetricsRefused(Exception):
    """Metrics cannot be served at this address; the message says why."""


@contextmanager
def metrics_served(host: str, port: int) -> Iterator[None]:
    """Inside, the metrics of this process are served at this address. Raises MetricsRefused."""
    disable_created_metrics()  # they would double the number of series
    try:
        server, thread = start_http_server(port, host)
    except (OSError, UnicodeError) as failure:
        why = failure.strerror if isinstance(failure, OSError) else failure
        raise MetricsRefused(
            f"cannot serve metrics at {host}:{port}: {why}; choose another --metrics-port or --metrics-host"
        ) from None
    with server:
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
