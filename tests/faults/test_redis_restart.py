"""Redis restarts with all its data, restarts with a loss, or does not come back."""

import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.faults.commands import check_ingest_and_watch, finished, followers, producing
from tests.faults.durable import durable_redis
from tests.faults.slides import NEVER, Slides, begin, feed_camera_through, published, undisturbed
from tests.lectures import ledger_of
from tests.processes import eventually, workers
from tests.producer.committing import register, work_on
from worker.contract.connection import RetryWhileAway, connect
from worker.contract.keys import LectureKeys
from worker.contract.messages import Event

KEYS = LectureKeys("l")


def test_after_restarts_every_event_is_published_once(
    lecture_video: Path, published_undisturbed: dict[str, list[Event]]
) -> None:
    with durable_redis() as server, workers(server.url, 1), connect(server.url) as client:

        def restart(end: Callable[[], None]) -> None:
            end()
            server.start()

        faults = {1: partial(restart, server.kill), 16: partial(restart, server.stop)}
        check_ingest_and_watch(client, server.url, lecture_video, faults, published_undisturbed)


def test_a_feed_continues_after_a_restart_at_any_frame() -> None:
    with durable_redis() as server, connect(server.url, RetryWhileAway(30)) as client:
        expected = undisturbed(client, 40)
        starts: list[threading.Timer] = []

        def restart(number: int) -> None:
            if number in (0, 20, 39):
                for start in starts:
                    start.join()
                server.kill()
                starts.append(threading.Timer(0.1, server.start))
                starts[-1].start()

        begin(client, "l").run(Slides(40, at=restart), NEVER)
        starts[-1].join()
        work_on(client, KEYS)
        assert published(client, "l") == expected
        assert ledger_of(client, KEYS).balances


def test_frames_of_a_live_source_during_an_outage_are_dropped_and_counted_and_the_lecture_continues() -> None:
    with durable_redis() as server, connect(server.url, RetryWhileAway(60)) as client:
        feed_camera_through(client, server.kill, server.start)


def test_a_redis_that_stays_away_is_reported_and_ends_all_commands_in_time(lecture_video: Path) -> None:
    with (
        durable_redis() as server,
        connect(server.url) as client,
        producing("ingest", lecture_video, "--redis", server.url, "--lecture", "l", OUTAGE_S=6) as ingest,
    ):
        register(client)
        eventually(lambda: client.hlen(KEYS.in_flight))
        with producing("watch", "l", "--redis", server.url, OUTAGE_S=6) as watch:
            eventually(lambda: followers(client) == 2)
            server.kill()
            for process in (watch, ingest):
                _, err = process.communicate(timeout=60)
                said = [line for line in err.splitlines() if line.startswith("producer: ")]
                assert process.returncode == 1
                assert said[0].endswith("does not answer; trying again for 6 s")
                assert said[1].startswith("producer: lost Redis at ")
                assert len(said) == 2


def test_while_redis_is_away_a_second_ctrl_c_exits_at_once(lecture_video: Path) -> None:
    with (
        durable_redis() as server,
        connect(server.url) as client,
        producing("ingest", lecture_video, "--redis", server.url, "--lecture", "l", "--json") as ingest,
    ):
        eventually(lambda: client.hlen(KEYS.in_flight))
        server.kill()

        def ends_by_ctrl_c() -> bool:  # two signals at once count as one, and more than two as two
            ingest.send_signal(signal.SIGINT)
            return ingest.poll() is not None

        eventually(ends_by_ctrl_c)
        code, _, said = finished(ingest)
    assert code == 130
    # Not always the last line: a slow machine may say after this that Redis does not answer.
    assert any(line.startswith("producer: exiting at once; ") for line in said)
