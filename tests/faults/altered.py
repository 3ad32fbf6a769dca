"""`worker run` with faults: `python -m tests.faults.altered run ...`, with ALTERED in the environment.

ALTERED is JSON. "set" has constants by their full names, with new values. "faults" has names of functions of
`worker.job`, each with a list of faults for the first processes that return from it: "kill" (SIGKILL), "stop"
(SIGSTOP), "lose the supervisor" (kill it, and wait until this process has to stop), "hang" (sleep without end), "hang
without signals" (the same, and no exception arrives), or "go on" (none). "folder" is where the processes record which
faults have happened.

Worker processes are spawned, and a spawned process imports the main module of its parent: this one.
"""

import importlib
import json
import os
import signal
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any

ALTERED = "ALTERED"


def environment(
    folder: Path, faults: dict[str, list[str]] | None = None, set: dict[str, float] | None = None
) -> dict[str, str]:
    """The environment for worker processes with these faults and constants."""
    return {**os.environ, ALTERED: json.dumps({"folder": str(folder), "faults": faults or {}, "set": set or {}})}


def happened(folder: Path) -> list[str]:
    """The faults that have happened, as "function.number"."""
    return sorted(path.name for path in folder.iterdir() if path.suffix[1:].isdecimal())


def alter(folder: Path, faults: dict[str, list[str]], set: dict[str, float]) -> None:
    for name, value in set.items():
        module, _, constant = name.rpartition(".")
        assert hasattr(importlib.import_module(module), constant), name
        setattr(importlib.import_module(module), constant, value)
    job = importlib.import_module("worker.job")
    for name, its_faults in faults.items():
        setattr(job, name, _with_faults(getattr(job, name), name, its_faults, folder))


def _with_faults(function: Callable[..., Any], name: str, faults: list[str], folder: Path) -> Callable[..., Any]:
    @wraps(function)
    def faulty(*arguments: Any, **options: Any) -> Any:
        answer = function(*arguments, **options)
        for number, fault in enumerate(faults):
            try:
                (folder / f"{name}.{number}").open("x").close()
            except FileExistsError:
                continue
            (folder / f"{name}.{number}.pid").write_text(str(os.getpid()))
            _cause(fault)
            break
        return answer

    return faulty


def _cause(fault: str) -> None:
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif fault == "lose the supervisor":
        _lose_the_supervisor()
    elif fault == "hang without signals":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        time.sleep(1000)
    elif fault == "hang":
        time.sleep(1000)


def _lose_the_supervisor() -> None:
    stop: Any = signal.getsignal(signal.SIGTERM)
    asked: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop(number, frame)
        asked.append(number)

    signal.signal(signal.SIGTERM, on_signal)
    os.kill(os.getppid(), signal.SIGKILL)
    while not asked:
        time.sleep(0.02)


if ALTERED in os.environ:
    alteration = json.loads(os.environ[ALTERED])
    alter(Path(alteration["folder"]), alteration["faults"], alteration["set"])

if __name__ == "__main__":
    from worker.cli import app

    app()
