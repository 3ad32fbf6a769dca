"""A Redis with its append-only file on, which can be killed and started again, without loss or with one."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.processes import REDIS_SERVER, answers, eventually


class DurableRedis:
    """A private redis-server on a unix socket in `folder`, which keeps every write that it answered."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._socket = folder / "redis.sock"
        self.url = f"unix://{self._socket}"
        self._file, self._copy = folder / "appendonly.aof", folder / "copy.aof"
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "save": "",
            "appendonly": "yes",
            # By default Redis delays appends while an fsync is under way, answers nevertheless, and loses them if it is
            # killed at that moment.
            "appendfsync": "always",
            "dir": str(folder),
        }
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        self._command = [REDIS_SERVER, *words, *options]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        with redis.Redis(unix_socket_path=str(self._socket)) as client:
            eventually(lambda: answers(client))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def remember(self) -> None:
        """Keep a copy of the append-only file, as it is now."""
        shutil.copy(self._file, self._copy)

    def lose_since(self) -> None:
        """Kill the server, and start it again without the writes since `remember`.

        So it happens to a Redis that is killed while its writes wait for the disk.
        """
        self.kill()
        shutil.copy(self._copy, self._file)
        self.start()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


@contextmanager
def durable_redis(*options: str) -> Iterator[DurableRedis]:
    with tempfile.TemporaryDirectory(prefix="lp-") as folder:  # pytest's own folders are too long for a socket's path
        server = DurableRedis(Path(folder), *options)
        try:
            yield server
        finally:
            server.kill()
