"""Workers whose Redis restarts, does not come back, or is full."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import redis

from tests.conftest import running_redis
from tests.faults.altered import environment
from tests.faults.durable import durable_redis
from tests.lectures import await_end, begin_lecture, chunks_of, events_of, feed_chunk, feed_lecture, ledger_of
from tests.processes import eventually, workers
from tests.undisturbed import chunks
from worker.contract.connection import connect, room_for_feeding
from worker.contract.keys import RUNNING
from worker.contract.messages import Chunk, ClassEvent, EndEvent, Event


def test_workers_continue_after_a_restart_of_redis(expected: dict[str, list[Event]]) -> None:
    first, second, *others = chunks()
    with durable_redis() as server, connect(server.url) as client:
        keys = begin_lecture(client, "l")
        feed_chunk(client, keys, 0, first)
        with workers(server.url, 2) as supervisor:
            eventually(lambda: ledger_of(client, keys).published == 3)
            feed_chunk(client, keys, 1, second)  # it may be in any state when Redis dies
            server.kill()
            server.start()
            for number, chunk in enumerate(others, 2):
                feed_chunk(client, keys, number, chunk)
            await_end(client, keys)
            assert events_of(client, keys) == expected
            assert supervisor.poll() is None


def test_when_redis_does_not_come_back_workers_end_with_one_line(tmp_path: Path) -> None:
    env = environment(tmp_path, set={"worker.cli.OUTAGE_S": 1.0})
    with running_redis() as (url, server), workers(url, 1, module="tests.faults.altered", env=env) as supervisor:
        with redis.Redis.from_url(url) as client:
            eventually(lambda: client.smembers("rq:workers"))
        server.kill()
        server.wait()
        said, _ = supervisor.communicate(timeout=60)
        assert supervisor.returncode == 1
        (line,) = (line for line in said.splitlines() if line.startswith("worker: "))
        assert f"Redis at {url} was away for 1 s, giving up" in line
        assert "Traceback" not in said


def noisy_chunks(count: int) -> list[Chunk]:
    """Chunks of about 2 MB each without any face: noise. Their outcomes are small."""
    noise = np.random.default_rng(1)
    pictures = [noise.integers(0, 255, (720, 1280, 3), np.uint8) for _ in range(2)]
    return chunks_of([pictures[n % 2] for n in range(2 * count)], 2)


def test_workers_empty_a_full_redis_and_nothing_is_lost() -> None:
    """It is so full that RQ cannot even dequeue a job."""
    with running_redis() as (url, _), connect(url) as client:
        keys = feed_lecture(client, "l", noisy_chunks(5))
        client.sadd(RUNNING, "l")
        used = cast(dict[str, Any], client.info("memory"))["used_memory"]
        client.config_set("maxmemory", used - 3 * 2**20)
        with pytest.raises(redis.OutOfMemoryError):
            client.set("one more", b"byte")
        assert room_for_feeding(client) < 0
        with workers(url, 2):
            await_end(client, keys)
        events = events_of(client, keys)["class"]
    assert [event.frame for event in events if isinstance(event, ClassEvent)] == list(range(10))
    assert isinstance(events[-1], EndEvent)
    assert events[-1].ledger.published == 10


def test_while_redis_accepts_no_write_workers_wait_and_use_no_retries() -> None:
    with running_redis() as (url, _), connect(url) as client:
        keys = feed_lecture(client, "l", noisy_chunks(2))
        client.config_set("maxmemory", 1)  # less than an empty Redis needs
        with workers(url, 1) as supervisor:
            eventually(lambda: refusals(client) > 10)
            assert supervisor.poll() is None
            client.config_set("maxmemory", 0)
            await_end(client, keys)
        end = events_of(client, keys)["class"][-1]
    assert isinstance(end, EndEvent)
    assert (end.status, end.ledger.published) == ("done", 4)


def refusals(client: redis.Redis) -> int:
    errors = cast(dict[str, dict[str, int]], client.info("errorstats"))
    return errors.get("errorstat_OOM", {"count": 0})["count"]


def test_redis_is_full_for_feeders_before_it_is_full_for_workers() -> None:
    with running_redis() as (url, _), connect(url) as client:
        assert room_for_feeding(client) == float("inf")
        used = cast(dict[str, Any], client.info("memory"))["used_memory"]
        client.config_set("maxmemory", 2 * used)
        assert abs(room_for_feeding(client) - used / 2) < used / 4
