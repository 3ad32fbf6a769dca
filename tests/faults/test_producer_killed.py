"""The embedded mode: the command or its private Redis is killed, and the next command cleans up."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from producer.embedded.abandoned import stop_abandoned
from producer.embedded.folder import data_folder, socket_path
from producer.embedded.server import private_redis
from producer.feeding.feed import Feed
from producer.feeding.resuming import read_interrupted
from tests.faults.commands import finished, producing
from tests.faults.slides import NEVER, Slides, as_printed, begin, in_order, published, undisturbed
from tests.lectures import ledger_of
from tests.processes import eventually
from tests.producer.committing import work_on
from worker.contract.connection import connect
from worker.contract.keys import RUNNING, LectureKeys
from worker.contract.messages import EndEvent, Event, Ledger
from worker.contract.queue import frame_queue

KEYS = LectureKeys("l")

# The command kills itself, because a test that is slow to do so finds the lecture over.
KILLED_AT_THE_FIRST_EVENT = """
import os, signal
from producer.terminal.outputs import JsonLines
JsonLines.show = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from producer.cli import main
main()
"""


def test_a_killed_command_in_embedded_mode_leaves_a_lecture_that_can_be_resumed(
    lecture_video: Path, published_undisturbed: dict[str, list[Event]]
) -> None:
    words = ["ingest", lecture_video, "--lecture", "l", "--json", "--workers", 1]
    command = [sys.executable, "-c", KILLED_AT_THE_FIRST_EVENT, *map(str, words), "--max-bytes", "1"]
    assert subprocess.run(command, capture_output=True, timeout=150).returncode == -signal.SIGKILL
    with producing("watch", "l", "--json", "--from-start") as watch:
        code, events, _ = finished(watch)
    end = events[-1]
    assert isinstance(end, EndEvent)
    assert (code, end.status, end.reason) == (0, "stopped", "its producer is gone")
    assert end.ledger.balances
    assert end.ledger.in_flight == 0
    with producing(*words, "--resume") as ingest:
        code, events, said = finished(ingest)
    assert (code, said) == (0, [])
    assert in_order(events) == as_printed(published_undisturbed)


def test_a_private_redis_that_is_killed_ends_its_command_at_once(lecture_video: Path) -> None:
    with producing("ingest", lecture_video, "--lecture", "l", "--json", "--workers", 1) as ingest:
        eventually(lambda: (data_folder() / "worker.log").exists())
        with connect(f"unix://{socket_path(data_folder())}") as client:
            eventually(lambda: client.hlen(KEYS.in_flight))
            os.kill(int(client.info("server")["process_id"]), signal.SIGKILL)
        code, _, said = finished(ingest, patience=40)
    assert (code, len(said)) == (1, 1)
    assert said[0].startswith("producer: lost the private Redis: ")
    with producing("list") as listing:
        assert listing.communicate(timeout=60)[0] == "no lectures\n"


def test_frames_in_flight_of_an_abandoned_lecture_are_fed_again_when_it_is_resumed() -> None:
    def killed(number: int) -> None:
        if number == 34:  # two chunks are fed
            raise KeyboardInterrupt

    with private_redis() as url, connect(url) as client:
        expected = undisturbed(client, 40)
        with pytest.raises(KeyboardInterrupt):
            begin(client, "l").run(Slides(40, at=killed), NEVER)
        client.delete(KEYS.chunk(1))  # the worker of the second chunk died with the command, the first one was finished
        work_on(client, KEYS)
        assert ledger_of(client, KEYS).in_flight == 16
        stop_abandoned(client)
        assert ledger_of(client, KEYS) == Ledger(sampled=16, published=16)
        assert (frame_queue(client).count, client.smembers(RUNNING)) == (0, set())
        interrupted = read_interrupted(client, "l")
        Feed.resume(client, "l", interrupted).run(Slides(40, first=interrupted.frames), NEVER)
        work_on(client, KEYS)
        assert published(client, "l") == expected
        assert ledger_of(client, KEYS).balances


def test_a_lecture_of_another_running_command_is_not_touched() -> None:
    with private_redis() as url, connect(url) as client:
        begin(client, "l")
        with private_redis():
            assert client.hget(KEYS.info, "status") == b"running"
