"""A network between Redis and producer, worker and watcher that stalls, resets, and cuts answers in half."""

import time
from functools import partial
from pathlib import Path

from tests.conftest import running_redis
from tests.faults.commands import SHORT_ANSWER_S, finished, producing
from tests.faults.proxy import Proxy, proxied
from tests.faults.slides import as_printed, published
from tests.faults.test_redis_restart import has_published
from tests.processes import eventually, workers
from worker.contract.connection import connect
from worker.contract.keys import LectureKeys
from worker.contract.messages import Event


def stall(proxy: Proxy) -> None:
    proxy.stall()
    time.sleep(2 * SHORT_ANSWER_S)  # all connections break meanwhile, and so do the next ones
    proxy.go_on()


def test_a_first_connection_that_is_reset_is_retried() -> None:
    with running_redis() as (url, _), proxied(url) as proxy:
        for answer in range(3):
            proxy.lose_answer(answer)
            connect(proxy.url).close()


def test_producer_worker_and_watcher_survive_and_publish_every_event_once(
    lecture_video: Path, published_undisturbed: dict[str, list[Event]]
) -> None:
    keys = LectureKeys("l")
    with running_redis() as (url, _), connect(url) as client, proxied(url) as proxy, workers(proxy.url, 1):
        words = ["ingest", lecture_video, "--redis", proxy.url, "--lecture", "l", "--json", "--max-bytes", 1]
        with producing(*words) as ingest:
            eventually(lambda: client.exists(keys.info))
            with producing("watch", "l", "--from-start", "--json", "--redis", proxy.url) as watch:
                for frames, disturb in ((1, Proxy.reset), (16, stall), (32, Proxy.cut_next_answer)):
                    eventually(partial(has_published, client, frames))
                    disturb(proxy)
                ingested, watched = finished(ingest), finished(watch)
        assert published(client, "l") == published_undisturbed
    everything = as_printed(event for stream in published_undisturbed.values() for event in stream)
    for code, events, _ in (ingested, watched):
        assert (code, as_printed(events)) == (0, everything)
