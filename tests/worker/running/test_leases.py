"""Leases on jobs, on a real Redis with RQ's own data, and only Redis' clock."""

import time
import zlib
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
import redis
from rq.executions import Execution
from rq.job import Job

from tests.gallery import gallery_pages
from tests.lectures import begin_lecture, chunks_of, feed_chunk, ledger_of
from tests.scraping import counted
from worker.contract.jobs import JOB_TIMEOUT_S, MAX_JOB_RETRIES
from worker.contract.keys import LectureKeys
from worker.contract.queue import enqueue_chunk, frame_queue
from worker.running.leases import LEASE_S, MAX_WORKER_DEATHS, renew, requeue_expired, requeue_jobs_of
from worker.running.process import ChunkWorker, chunk_worker
from worker.running.sweep import STRANDED_S, Sweep


@pytest.fixture
def keys(client: redis.Redis) -> LectureKeys:
    """A lecture with one chunk, which is enqueued."""
    keys = begin_lecture(client, "l")
    feed_chunk(client, keys, 0, chunks_of(list(gallery_pages(4, 2, fps=2, size=(640, 360))), 2)[0])
    return keys


def begin_job(client: redis.Redis, name: str = "") -> tuple[ChunkWorker, Job, Execution]:
    """All steps of a worker before it calls the job's function."""
    worker = chunk_worker(client, name or uuid4().hex)
    worker.register_birth()  # type: ignore[no-untyped-call]
    found = worker.dequeue_job_and_maintain_ttl(1)
    assert found is not None
    job, _ = found
    execution = worker.prepare_execution(job)
    worker.prepare_job_execution(job, remove_from_intermediate_queue=True)
    return worker, job, execution


def expire_lease(client: redis.Redis, execution: Execution) -> None:
    client.delete(execution.key)  # as Redis does when its time is over


def job_now(client: redis.Redis) -> Any:
    return frame_queue(client).fetch_job("l-0")


def test_a_job_without_a_lease_goes_to_the_front_of_the_queue_and_one_with_a_lease_stays(
    client: redis.Redis, keys: LectureKeys
) -> None:
    queue = frame_queue(client)
    _, _, execution = begin_job(client)
    enqueue_chunk(queue, "l", 1)
    requeue_expired(queue)
    assert queue.get_job_ids() == ["l-1"]
    expire_lease(client, execution)
    requeue_expired(queue)
    requeue_expired(queue)
    assert queue.get_job_ids() == ["l-0", "l-1"]
    assert job_now(client).get_status() == "queued"
    assert job_now(client).retries_left == MAX_JOB_RETRIES, "a worker's death does not count as a failure of the job"
    assert not queue.started_job_registry.get_job_ids(cleanup=False)


def test_jobs_of_strangers_do_not_keep_another_from_being_requeued(client: redis.Redis, keys: LectureKeys) -> None:
    queue = frame_queue(client)
    _, _, execution = begin_job(client)
    expire_lease(client, execution)
    call = client.hget("rq:job:l-0", "data")
    assert isinstance(call, bytes)
    bomb = zlib.compress(b"0" * 2**24)
    written: list[dict[str, Any]] = [
        {"deaths": "x", "data": call},
        {"deaths": "9", "data": b"7"},
        {"data": bomb},
    ]
    for number, fields in enumerate(written):
        job: dict[Any, Any] = {"status": "started", "origin": queue.name, **fields}
        client.hset(f"rq:job:evil-{number}", mapping=job)
        client.zadd(queue.started_job_registry.key, {f"evil-{number}:1": 0})
    client.rpush("rq:job:evil-list", "no hash")
    client.zadd(queue.started_job_registry.key, {"evil-list:1": 0})
    for _ in range(2):
        requeue_expired(queue)
    assert "l-0" in queue.get_job_ids()


def test_a_lease_can_be_renewed_until_its_job_is_requeued(client: redis.Redis, keys: LectureKeys) -> None:
    _, job, execution = begin_job(client)
    assert 0 < client.ttl(execution.key) <= LEASE_S
    client.expire(execution.key, 1)
    assert renew(client, execution)
    assert client.ttl(execution.key) > 1
    expire_lease(client, execution)
    assert renew(client, execution)
    assert [each.id for each in job.get_executions()] == [execution.id], "RQ can read it"
    requeue_expired(frame_queue(client))
    assert frame_queue(client).count == 0
    expire_lease(client, execution)
    requeue_expired(frame_queue(client))
    assert not renew(client, execution)


def test_of_two_concurrent_sweeps_one_requeues_a_job(
    client: redis.Redis, keys: LectureKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, execution = begin_job(client)
    expire_lease(client, execution)
    queue = frame_queue(client)
    fetch = queue.fetch_job

    def while_another_sweeps(job_id: str) -> Any:
        monkeypatch.setattr(queue, "fetch_job", fetch)
        requeue_expired(frame_queue(client))
        return fetch(job_id)

    monkeypatch.setattr(queue, "fetch_job", while_another_sweeps)
    requeue_expired(queue)
    assert queue.get_job_ids() == ["l-0"]


def test_a_chunk_that_kills_every_worker_fails_in_the_end(client: redis.Redis, keys: LectureKeys) -> None:
    queue = frame_queue(client)
    retries, failed = (counted(name, reason="worker_died") for name in ("job_retries", "frames_failed"))
    for _ in range(MAX_WORKER_DEATHS + 1):
        _, _, execution = begin_job(client)
        expire_lease(client, execution)
        requeue_expired(queue)
    assert queue.count == 0
    assert job_now(client).get_status() == "failed"
    assert ledger_of(client, keys).reasons == {"failed:worker_died": 2}
    assert counted("job_retries", reason="worker_died") == retries + MAX_WORKER_DEATHS
    assert counted("frames_failed", reason="worker_died") == failed + 2


def test_a_job_whose_lease_was_renewed_until_its_time_limit_was_stuck_and_loses_a_retry(
    client: redis.Redis, keys: LectureKeys
) -> None:
    queue = frame_queue(client)
    for retries in range(MAX_JOB_RETRIES, -1, -1):
        assert job_now(client).retries_left == retries
        _, job, execution = begin_job(client)
        registry = job.started_job_registry.key
        client.zadd(registry, {execution.composite_key: time.time() + JOB_TIMEOUT_S + LEASE_S}, xx=True)
        expire_lease(client, execution)
        requeue_expired(queue)
    assert queue.count == 0
    assert ledger_of(client, keys).reasons == {"failed:timeout": 2}


@pytest.mark.parametrize("failure", [None, RuntimeError("late")])
def test_a_late_worker_does_not_touch_a_job_that_waits_for_another(
    client: redis.Redis, keys: LectureKeys, failure: Exception | None
) -> None:
    worker, job, execution = begin_job(client)
    expire_lease(client, execution)
    requeue_expired(frame_queue(client))
    before = client.hgetall(job.key)
    if failure is None:
        worker._finalize_success(job, frame_queue(client), execution, None)
    else:
        worker._finalize_failure(job, frame_queue(client), execution, (type(failure), failure, None))
    assert client.hgetall(job.key) == before
    assert frame_queue(client).get_job_ids() == ["l-0"]
    assert ledger_of(client, keys).failed == 0
    assert not list(client.scan_iter("rq:execution*"))


def test_a_late_worker_leaves_no_data_of_a_job_that_is_done(client: redis.Redis, keys: LectureKeys) -> None:
    worker, job, execution = begin_job(client)
    expire_lease(client, execution)
    requeue_expired(frame_queue(client))
    chunk_worker(client, "other").work(max_jobs=1)
    assert ledger_of(client, keys).published == 2
    client.hset(job.key, "last_heartbeat", "written by the late worker")
    worker._finalize_success(job, frame_queue(client), execution, None)
    worker.teardown()
    assert not list(client.scan_iter("rq:job*"))
    assert not list(client.scan_iter("rq:execution*"))


def test_entries_of_strangers_do_not_stop_the_sweep(client: redis.Redis, keys: LectureKeys) -> None:
    _, _, execution = begin_job(client)
    expire_lease(client, execution)
    registry = frame_queue(client).started_job_registry.key
    for stranger in (b"\xff", b"no:job"):
        client.zadd(registry, {stranger: 0})
    requeue_expired(frame_queue(client))
    assert frame_queue(client).get_job_ids() == ["l-0"]
    assert not client.exists(registry)


def test_the_job_of_a_dead_process_is_requeued_at_once(client: redis.Redis, keys: LectureKeys) -> None:
    begin_job(client, "dead")
    requeue_jobs_of(frame_queue(client), "alive")
    assert frame_queue(client).count == 0
    Sweep(client).requeue_from("dead")
    assert frame_queue(client).get_job_ids() == ["l-0"]
    assert not client.smembers("rq:workers")


def test_a_job_that_was_lost_while_it_was_dequeued_is_requeued(
    client: redis.Redis, keys: LectureKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, sweep = frame_queue(client), Sweep(client)
    for taken in ("l-0", "gone-1", b"\xff\xfe"):
        client.lpush(queue.intermediate_queue_key, taken)
    client.delete(queue.key)
    sweep.run()
    assert queue.count == 0
    later = time.monotonic() + STRANDED_S + 1
    monkeypatch.setattr("worker.running.sweep.time", SimpleNamespace(monotonic=lambda: later))
    sweep.run()
    assert queue.get_job_ids() == ["l-0"]
    assert client.llen(queue.intermediate_queue_key) == 0
