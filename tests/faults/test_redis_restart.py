"""Redis restarts with all its data, restarts with a loss, or does not come back."""

import itertools
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import redis

from producer.feeding.feed import Feed
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.starting import NewLecture
from tests.faults.commands import finished, producing
from tests.faults.durable import durable_redis
from tests.faults.slides import FPS, NEVER, SIZE, Slides, as_printed, begin, published, undisturbed
from tests.lectures import ledger_of
from tests.processes import eventually, workers
from tests.producer.committing import work_on
from worker.contract.connection import RetryWhileAway, connect
from worker.contract.keys import LectureKeys
from worker.contract.messages import Event

KEYS = LectureKeys("l")


def test_after_restarts_every_event_is_published_once(
    lecture_video: Path, published_undisturbed: dict[str, list[Event]]
) -> None:
    with durable_redis() as server, workers(server.url, 1), connect(server.url) as client:
        words = ["ingest", lecture_video, "--redis", server.url, "--lecture", "l", "--json", "--max-bytes", 1]
        with producing(*words) as ingest:
            eventually(lambda: client.exists(KEYS.info))
            with producing("watch", "l", "--from-start", "--json", "--redis", server.url) as watch:
                for frames, end in ((1, server.kill), (16, server.stop)):
                    eventually(partial(has_published, client, frames))
                    end()
                    server.start()
                ingested, watched = finished(ingest), finished(watch)
        assert published(client, "l") == published_undisturbed
    everything = as_printed(event for stream in published_undisturbed.values() for event in stream)
    for code, events, _ in (ingested, watched):
        assert (code, as_printed(events)) == (0, everything)


def test_a_feed_continues_after_a_restart_at_any_frame() -> None:
    with durable_redis() as server, connect(server.url, RetryWhileAway(30)) as client:
        expected = undisturbed(client, 40)

        def restart(number: int) -> None:
            if number in (0, 20, 39):
                server.kill()
                threading.Timer(0.1, server.start).start()

        begin(client, "l").run(Slides(40, at=restart), NEVER)
        work_on(client, KEYS)
        assert published(client, "l") == expected
        assert ledger_of(client, KEYS).balances


def test_writes_that_redis_lost_in_a_crash_end_the_feed_with_a_message() -> None:
    with durable_redis() as server, connect(server.url, RetryWhileAway(30)) as client:
        feed = begin(client, "l")
        before = client.dump(KEYS.info)
        assert before is not None

        def forget(number: int) -> None:
            if number == 33:  # two chunks are fed
                client.restore(KEYS.info, 0, before, replace=True)

        with pytest.raises(Exception, match="Redis has lost what was last fed to lecture l"):
            feed.run(Slides(40, at=forget), NEVER)


def has_published(client: redis.Redis, frames: int) -> bool:
    return client.xlen(KEYS.class_) >= frames


class Camera:
    """A live source: it does not wait until its frames are read."""

    live = True
    shortfall: str | None = None

    def __init__(self) -> None:
        self.taken = 0

    def frames(self, stop: threading.Event) -> Iterator[SampledFrame]:
        for number in itertools.count():
            if stop.wait(0.002):
                return
            self.taken = number + 1
            yield SampledFrame(number, number / FPS, bytes(1000))


def test_frames_of_a_live_source_during_an_outage_are_dropped_and_counted_and_the_lecture_continues() -> None:
    camera, stop = Camera(), threading.Event()
    with durable_redis() as server, connect(server.url, RetryWhileAway(60)) as client:
        feed = Feed.start(client, NewLecture("l", "camera", FPS, *SIZE))
        feeding = threading.Thread(target=feed.run, args=(camera, stop))
        feeding.start()
        eventually(lambda: feed.progress.frames)
        server.kill()
        seen = camera.taken
        eventually(lambda: camera.taken > seen + 200)  # many more than the backlog of a live source
        server.start()
        eventually(lambda: feed.progress.dropped)
        fed = feed.progress.frames
        work_on(client, KEYS)
        eventually(lambda: feed.progress.frames > fed)
        stop.set()
        feeding.join()
        work_on(client, KEYS)
        ledger = ledger_of(client, KEYS)
    assert ledger.balances
    assert ledger.dropped == feed.progress.dropped > 100
    assert ledger.sampled == camera.taken


def test_a_redis_that_stays_away_is_reported_and_ends_all_commands_in_time(lecture_video: Path) -> None:
    with (
        durable_redis() as server,
        connect(server.url) as client,
        producing("ingest", lecture_video, "--redis", server.url, "--lecture", "l", OUTAGE_S=6) as ingest,
    ):
        eventually(lambda: client.hlen(KEYS.in_flight))
        with producing("watch", "l", "--redis", server.url, OUTAGE_S=6) as watch:
            eventually(lambda: [each["cmd"] for each in client.client_list()].count("xread") == 2)
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
        ingest.send_signal(signal.SIGINT)
        time.sleep(0.5)  # two signals of one kind at once are one
        ingest.send_signal(signal.SIGINT)
        code, _, said = finished(ingest, patience=20)
    assert code == 130
    assert said[-1].startswith("producer: exiting at once; ")
