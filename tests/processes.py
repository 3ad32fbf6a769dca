"""Real processes in tests: waiting for what they do, and the workers."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def eventually(true: Callable[[], object], patience: float = 60) -> None:
    """Wait until `true` returns something true; `patience` in seconds is for machines that are slow, not a measure."""
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
    """`worker run`, told to stop at the end; with `cwd`, the package `worker` that lies there."""
    command = [sys.executable, "-m", module, "run", "--redis", url, "--processes", str(processes), *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd, env=env
    ) as supervisor:
        try:
            yield supervisor
        finally:
            supervisor.terminate()
            supervisor.communicate(timeout=60)
