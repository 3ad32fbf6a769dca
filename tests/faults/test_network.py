"""A network between Redis and producer, worker and watcher that stalls, resets, and cuts answers in half."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.conftest import running_redis
from tests.faults.commands import check_ingest_and_watch
from tests.faults.proxy import Proxy, proxied
from tests.processes import eventually, workers
from worker.contract.connection import connect
from worker.contract.messages import Event

# Seconds without an answer after which a connection counts as broken. No command waits for more than one second.
SHORT_ANSWER_S = 2.0


def stall(proxy: Proxy) -> None:
    before = proxy.connections
    proxy.stall()
    eventually(lambda: proxy.connections >= before + 4)  # connections break, and so do the next ones
    proxy.go_on()


def test_a_first_connection_that_is_reset_is_retried() -> None:
    with running_redis() as (url, _), proxied(url) as proxy:
        for answer in range(3):
            proxy.lose_answer(answer)
            connect(proxy.url).close()


def test_producer_worker_and_watcher_survive_and_publish_every_event_once(
    lecture_video: Path, published_undisturbed: dict[str, list[Event]]
) -> None:
    with running_redis() as (url, _), connect(url) as client, proxied(url) as proxy, workers(proxy.url, 1):
        faults: dict[int, Callable[[], None]] = {1: proxy.reset, 17: partial(stall, proxy), 32: proxy.cut_next_answer}
        short = {"ANSWER_TIMEOUT_S": SHORT_ANSWER_S}
        check_ingest_and_watch(client, proxy.url, lecture_video, faults, published_undisturbed, **short)
