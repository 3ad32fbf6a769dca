"""Real processes in tests: workers, and waiting for their effects."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis


def eventually(true: Callable[[], object], patience: float = 60) -> None:
    """Wait until `true` returns something true. `patience` in seconds allows for slow machines; it is not a measure."""
    until = time.monotonic() + patience
    while not true():
        assert time.monotonic() < until, f"did not become true within {patience} s"
        time.sleep(0.02)


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
