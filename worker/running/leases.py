"""Leases: a worker process holds a job for a few seconds, and renews the lease while it works on the job.

RQ keeps a registry of all running jobs, and for each run (an execution) a key that expires. That key is the lease. If a
run in the registry has no lease, the sweep puts its job back into the queue. Only Redis' clock matters. A worker that
has lost its lease does not change the job's data any more.
"""

import time
from contextlib import suppress
from typing import cast

import redis
import structlog
from redis.client import Pipeline
from rq import Queue
from rq.exceptions import AbandonedJobError
from rq.executions import WORKER_EXECUTIONS_KEY_TEMPLATE, Execution, ExecutionRegistry
from rq.job import Job, JobStatus
from rq.job_lifecycle import record_job_failure
from rq.timeouts import JobTimeoutException

from worker.contract.connection import foreign_values_skipped
from worker.job import fail
from worker.metrics.counters import JOB_RETRIES
from worker.running.admission import check_call

log = structlog.get_logger()

# If a whole machine dies, its jobs must be requeued within 20 s: one lease, one sweep, and some reserve. A live worker
# renews its lease four times during one lease.
LEASE_S = 12
RENEW_EVERY_S = 3.0

# A job is requeued after this many deaths of its worker. The next death fails it. The number is larger than the job's
# retries, because most workers die for other reasons (a machine stops, a network stalls). But a picture that kills
# every worker must fail in the end.
MAX_WORKER_DEATHS = 9


def renew(client: redis.Redis, execution: Execution) -> bool:
    """Renew the lease. Returns False if the job was requeued. (An expired lease can still be renewed.)"""
    registry, this = execution.job.started_job_registry.key, execution.composite_key
    with client.pipeline(transaction=False) as pipe:
        pipe.zscore(registry, this)
        pipe.expire(execution.key, LEASE_S)  # a full Redis still takes this
        # All fields are written, because RQ cannot read a key with only some of them, and the lease may have expired.
        pipe.hset(execution.key, mapping={**execution.serialize(), "last_heartbeat": time.time()})
        pipe.expire(execution.key, LEASE_S)
        pipe.zadd(registry, {this: time.time() + LEASE_S}, xx=True)  # as RQ does; `_exceeded_time_limit` reads it
        listed, *_ = pipe.execute(raise_on_error=False)
    if isinstance(listed, Exception):
        raise listed
    return listed is not None


def drop_run(job: Job, execution: Execution) -> None:
    """Remove the data of a run whose job went to another worker."""
    with job.connection.pipeline() as pipe:
        _remove_run(pipe, job.started_job_registry.key, execution)
        pipe.srem(execution.worker_executions_key, execution.composite_key)
        pipe.execute()
    if not job.connection.hexists(job.key, "data"):  # the other worker has finished the job
        job.connection.delete(job.key)  # the key only holds what this run wrote too late


def requeue_expired(queue: Queue) -> None:
    """Put jobs whose lease has expired back at the front of the queue."""
    executions = _running(queue)
    with queue.connection.pipeline(transaction=False) as pipe:
        for execution in executions:
            pipe.exists(execution.key)
        leases = pipe.execute()
    for execution, lease in zip(executions, leases, strict=True):
        if not lease:
            with foreign_values_skipped(lambda _: log.warning("cannot requeue a job that a stranger wrote")):
                _requeue(queue, execution)


def requeue_jobs_of(queue: Queue, worker: str) -> None:
    """Requeue the jobs of a dead worker process at once, without waiting for the end of their leases."""
    held = cast(set[bytes], queue.connection.smembers(WORKER_EXECUTIONS_KEY_TEMPLATE.format(worker)))
    for entry in held:
        execution = Execution.from_composite_key(entry.decode(), queue.connection)
        queue.connection.delete(execution.key)
        _requeue(queue, execution)


def _running(queue: Queue) -> list[Execution]:
    client, registry = queue.connection, queue.started_job_registry.key
    executions = []
    for entry in cast(list[bytes], client.zrange(registry, 0, -1)):
        try:
            executions.append(Execution.from_composite_key(entry.decode(), client))
        except ValueError:  # a stranger's entry
            client.zrem(registry, entry)
    return executions


def _requeue(queue: Queue, execution: Execution) -> None:
    """Requeue the job of a run without a lease, or fail it. If the job or the lease changes meanwhile, do nothing."""
    key, registry = Job.key_for(execution.job_id), queue.started_job_registry.key
    with queue.connection.pipeline() as pipe:
        pipe.watch(key, execution.key)
        if pipe.exists(execution.key):
            return
        lease_end = pipe.zscore(registry, execution.composite_key)
        if lease_end is None or (job := _started_job(queue, execution.job_id)) is None:
            pipe.multi()
            _remove_run(pipe, registry, execution)
            with suppress(redis.WatchError):
                pipe.execute()
            return
        deaths = _deaths(cast("bytes | None", pipe.hget(key, "deaths"))) + 1
        stuck = _exceeded_time_limit(job, lease_end)
        again = job.should_retry if stuck else deaths <= MAX_WORKER_DEATHS
        if not again:
            fail(job, JobTimeoutException() if stuck else AbandonedJobError())
        pipe.multi()
        _remove_run(pipe, registry, execution)
        if again:
            if stuck and job.retries_left:
                job.retries_left -= 1
            queue._enqueue_job(job, pipeline=pipe, at_front=True)  # the whole lecture may wait for it
            pipe.hset(key, "deaths", deaths)
        else:
            record_job_failure(job, "its worker died too often", pipe)
        try:
            pipe.execute()
        except redis.WatchError:
            return
    if again:
        JOB_RETRIES.labels("timeout" if stuck else "worker_died").inc()
    log.warning("job requeued" if again else "job failed", job=execution.job_id, worker_deaths=deaths)


def _deaths(stored: bytes | None) -> int:
    """How often the job's worker has died; a stranger's value counts as the most."""
    if stored is None:
        return 0
    return int(stored) if stored.isdigit() and len(stored) <= 3 else MAX_WORKER_DEATHS


def _started_job(queue: Queue, job_id: str) -> Job | None:
    """The job if it has started and not finished; else, or if it cannot be read or is a stranger's, None."""
    try:
        check_call(cast("bytes | None", queue.connection.hget(Job.key_for(job_id), "data")) or b"")
        job = queue.fetch_job(job_id)
    except Exception as unreadable:
        log.warning("cannot read a job, ignoring it", error=type(unreadable).__name__)
        return None
    return job if job is not None and job.get_status(refresh=False) == JobStatus.STARTED else None


def _exceeded_time_limit(job: Job, lease_end: float) -> bool:
    """Whether the lease was renewed until the job's time limit; by the clock of its worker."""
    if job.started_at is None or job.timeout is None:
        return False
    return bool(lease_end - LEASE_S - job.started_at.timestamp() > job.timeout - RENEW_EVERY_S)


def _remove_run(pipe: Pipeline, registry: str, execution: Execution) -> None:
    pipe.zrem(registry, execution.composite_key)
    pipe.delete(execution.key)
    pipe.zrem(ExecutionRegistry.key_template.format(execution.job_id), execution.id)
