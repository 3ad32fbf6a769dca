"""A real S3 server on loopback: moto's."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.streams import free_port

KEY, SECRET = "AKIAEXAMPLE", "keep-me-out-of-logs"


def credentials() -> dict[str, str]:
    """The environment of its clients."""
    return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}


class Store:
    """A server with one bucket, `bucket`. It keeps what it has while it is stopped."""

    def __init__(self) -> None:
        self._port = free_port()
        self.start()

    def start(self) -> None:
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer("127.0.0.1", self._port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def address(self, path: str) -> str:
        return f"s3://{path}?endpoint_override=127.0.0.1:{self._port}&scheme=http"


@contextmanager
def running_store() -> Iterator[Store]:
    pytest.importorskip("moto", reason="moto is not installed: pip install 'lecturepulse[dev]'")
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    backend.reset()
    backend.create_bucket("bucket", "us-east-1")
    running = Store()
    try:
        yield running
    finally:
        running.stop()
        backend.reset()
