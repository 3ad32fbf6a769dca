"""Run commands of the producer as processes, with changed constants of the contract."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from worker.contract.messages import Event, decode_event

# Seconds without an answer after which a connection counts as broken. No command waits for more than one second.
SHORT_ANSWER_S = 2.0


@contextmanager
def producing(*words: object, **constants: float) -> Iterator[subprocess.Popen[str]]:
    """`producer WORDS`, with these constants of `worker.contract.connection` and `worker.contract.lifetimes`."""
    given = {"ANSWER_TIMEOUT_S": SHORT_ANSWER_S, **constants}
    code = (
        "from worker.contract import connection, lifetimes\n"
        f"for module in (connection, lifetimes): vars(module).update({given})\n"
    )
    command = [sys.executable, "-c", code + "from producer.cli import main; main()", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def finished(process: subprocess.Popen[str], patience: float = 100) -> tuple[int, list[Event], list[str]]:
    """Exit code, events printed, and lines on standard error."""
    out, err = process.communicate(timeout=patience)
    return process.returncode, [decode_event(line) for line in out.splitlines()], err.splitlines()


def line_of(process: subprocess.Popen[str]) -> Any:
    """The next event printed, as JSON."""
    assert process.stdout is not None
    return json.loads(process.stdout.readline())
