"""The embedded mode: the command is killed, or its private Redis; nobody is left but the next command."""

import os
import signal
from pathlib import Path

import pytest

from producer.embedded.abandoned import stop_abandoned
from producer.embedded.folder import data_folder, socket_path
from producer.embedded.server import private_redis
from producer.feeding.feed import Feed
from producer.feeding.resuming import read_interrupted
from tests.faults.commands import finished, producing
from tests.faults.slides import NEVER, Slides, as_printed, begin, told, undisturbed
from tests.lectures import ledger_of
from tests.processes import eventually
from tests.producer.committing import work_on
from worker.contract.connection import connect
from worker.contract.keys import RUNNING, LectureKeys
from worker.contract.messages import EndEvent, Event, Ledger
from worker.contract.queue import frame_queue

KEYS = LectureKeys("l")


def test_a_killed_command_with_a_redis_of_its_own_leaves_a_lecture_that_can_be_resumed(
    lecture_video: Path, told_undisturbed: dict[str, list[Event]]
) -> None:
    words = ["ingest", lecture_video, "--lecture", "l", "--json", "--workers", 1]
    with producing(*words, "--max-bytes", 1) as ingest:
        assert ingest.stdout is not None
        ingest.stdout.readline()
        ingest.kill()
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
    assert as_printed(events) == as_printed(event for stream in told_undisturbed.values() for event in stream)


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


def test_what_was_in_flight_of_an_orphan_is_fed_again_by_whoever_resumes_it() -> None:
    def killed(number: int) -> None:
        if number == 34:  # two chunks are fed
            raise KeyboardInterrupt

    with private_redis() as url, connect(url) as client:
        expected = undisturbed(client, 40)
        with pytest.raises(KeyboardInterrupt):
            begin(client, "l").run(Slides(40, at=killed), NEVER)
        client.delete(KEYS.chunk(1))  # its worker died with the command, that of the first chunk was done
        work_on(client, KEYS)
        assert ledger_of(client, KEYS).in_flight == 16
        stop_abandoned(client)
        assert ledger_of(client, KEYS) == Ledger(sampled=16, published=16)
        assert (frame_queue(client).count, client.smembers(RUNNING)) == (0, set())
        interrupted = read_interrupted(client, "l")
        Feed.resume(client, "l", interrupted).run(Slides(40, first=interrupted.frames), NEVER)
        work_on(client, KEYS)
        assert told(client, "l") == expected
        assert ledger_of(client, KEYS).balances


def test_a_lecture_that_somebody_else_is_at_is_left_alone() -> None:
    with private_redis() as url, connect(url) as client:
        begin(client, "l")
        with private_redis():
            assert client.hget(KEYS.info, "status") == b"running"
