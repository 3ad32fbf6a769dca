"""Fixtures of all tests: a real, empty Redis, and a user without data and settings."""

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, settings

from producer.cells.naming import REDIS_VARIABLES
from tests.processes import REDIS_SERVER, answers, eventually
from worker.contract.connection import connect
from worker.contract.messages import Event

# No deadlines, because a busy machine must not fail a test.
settings.register_profile("lecturepulse", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lecturepulse")

# A shell that starts the tests in the background lets them ignore Ctrl-C, and every process that they start as well.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder that does not exist yet. It hides the data and the settings of the user who runs the tests."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in REDIS_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path / "data"


@contextmanager
def running_redis() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A private redis-server without persistence: its URL, and its process, which a test may kill."""
    with tempfile.TemporaryDirectory(prefix="lp-") as folder:  # pytest's own folders are too long for a socket's path
        socket = Path(folder) / "redis.sock"
        command = [REDIS_SERVER, "--port", "0", "--unixsocket", str(socket), "--save", ""]
        with subprocess.Popen([*command, "--dir", folder], stdout=subprocess.DEVNULL) as server:
            url = f"unix://{socket}"
            try:
                with redis.Redis.from_url(url) as client:
                    eventually(lambda: answers(client))
                yield url, server
            finally:
                server.terminate()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of one redis-server for the whole run."""
    with running_redis() as (url, _):
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of an empty Redis."""
    with connect(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        yield client


@pytest.fixture(scope="session")
def expected() -> dict[str, list[Event]]:
    """The events of `tests.undisturbed`, by stream."""
    from tests.undisturbed import undisturbed  # imports the models

    with running_redis() as (url, _), connect(url) as client:
        return undisturbed(client)
