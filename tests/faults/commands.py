"""Run commands of the producer as processes, with changed constants of the contract."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import redis

from tests.faults.slides import as_printed, in_order, published
from tests.processes import eventually
from worker.contract.keys import LectureKeys
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
    assert process.stdout is not None
    assert process.stderr is not None
    with ThreadPoolExecutor(1) as reading:  # communicate would lose what a test's readline has read ahead
        said = reading.submit(process.stderr.read)
        printed = process.stdout.read()
    code = process.wait(patience)
    return code, [decode_event(line) for line in printed.splitlines()], said.result().splitlines()


def check_ingest_and_watch(
    client: redis.Redis,
    url: str,
    video: Path,
    faults: Mapping[int, Callable[[], object]],
    expected: dict[str, list[Event]],
) -> None:
    """Ingest and watch a lecture with `faults` after these numbers of frames: all events are published as `expected`,
    and both commands print them once."""
    keys = LectureKeys("l")
    with producing("ingest", video, "--redis", url, "--lecture", "l", "--json", "--max-bytes", 1) as ingest:
        eventually(lambda: client.exists(keys.info))
        with producing("watch", "l", "--from-start", "--json", "--redis", url) as watch:
            for frames, fault in faults.items():
                eventually(partial(_has_published, client, keys, frames))
                fault()
            ingested, watched = finished(ingest), finished(watch)
    assert published(client, "l") == expected
    for code, events, _ in (ingested, watched):
        assert (code, in_order(events)) == (0, as_printed(expected))


def _has_published(client: redis.Redis, keys: LectureKeys, frames: int) -> bool:
    return client.xlen(keys.class_) >= frames
