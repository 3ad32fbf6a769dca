"""Run commands of the producer as processes, with changed constants of the contract."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import redis

from tests.faults.slides import as_printed, in_order, published
from tests.processes import eventually, workers_suspended
from worker.contract.keys import LectureKeys
from worker.contract.messages import Event, decode_event


@contextmanager
def producing(*words: object, **constants: float) -> Iterator[subprocess.Popen[str]]:
    """`producer WORDS`, with these constants of `worker.contract.connection` and `worker.contract.lifetimes`."""
    code = (
        "from worker.contract import connection, lifetimes\n"
        f"for module in (connection, lifetimes): vars(module).update({constants})\n"
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
    **constants: float,
) -> None:
    """Ingest and watch a lecture with `faults` after these numbers of frames: all events are published as `expected`,
    and both commands print them once. There is a worker; `constants` are those of `producing`."""
    keys = LectureKeys("l")
    there = "--redis", url
    with ExitStack() as running:
        with workers_suspended(client):  # nothing is published until both follow the lecture
            words = ["ingest", video, "--lecture", "l", "--json", "--max-bytes", 1, *there]
            ingest = running.enter_context(producing(*words, **constants))
            eventually(lambda: client.exists(keys.info))
            watch = running.enter_context(producing("watch", "l", "--from-start", "--json", *there, **constants))
            eventually(lambda: followers(client) == 2)
        for frames, fault in faults.items():
            eventually(partial(_has_published, client, keys, frames))
            fault()
        ingested, watched = finished(ingest), finished(watch)
    assert published(client, "l") == expected
    for code, events, _ in (ingested, watched):
        assert (code, in_order(events)) == (0, as_printed(expected))


def followers(client: redis.Redis) -> int:
    """The number of programs that wait for a lecture's next event. Each of them has one connection that is blocked."""
    return sum(each["cmd"] == "xread" and "b" in each["flags"] for each in client.client_list())


def _has_published(client: redis.Redis, keys: LectureKeys, frames: int) -> bool:
    return client.xlen(keys.class_) >= frames
