"""Leases: a job is lent to the process that works on it, for a few seconds longer than that shows signs of life.

RQ keeps a registry of all running jobs, and for each run (an execution) a key that expires. That key is the lease. It
is renewed while the run goes on, and who finds a run in the registry without one puts its job back into the queue. No
clock of any worker's matters. Whoever lost the lease meanwhile leaves the job's notes alone when it comes back.
"""

import time
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

from worker.job import fail
from worker.metrics.counters import count_retry

log = structlog.get_logger()

# A killed worker's chunk is to be back in work within 20 s, though nobody is left who saw it die: a lease, a sweep of
# the supervisor's, and time to spare. Renewals that miss it three times over need a machine that stands still.
LEASE_S = 12
RENEW_EVERY_S = 3.0

# So often may whoever works on a job die of it. More often than it may fail: workers die of what has nothing to do with
# the job (a machine goes, a network stalls), but a picture that kills whoever looks at it must not go on for ever.
DEATHS = 9


def renew(client: redis.Redis, execution: Execution) -> bool:
    """Renew the lease; whether there was one to renew, be it that nobody has noticed yet that it was over."""
    registry, this = execution.job.started_job_registry.key, execution.composite_key
    with client.pipeline(transaction=False) as pipe:
        pipe.zscore(registry, this)
        pipe.expire(execution.key, LEASE_S)  # allowed also where Redis is full
        # Whole: if the lease was over, a part of it would be one that RQ cannot read.
        pipe.hset(execution.key, mapping={**execution.serialize(), "last_heartbeat": time.time()})
        pipe.expire(execution.key, LEASE_S)
        pipe.zadd(registry, {this: time.time() + LEASE_S}, xx=True)  # RQ's form; tells how long the run has gone on
        listed, *_ = pipe.execute(raise_on_error=False)
    if isinstance(listed, Exception):
        raise listed
    return listed is not None


def withdraw(job: Job, execution: Execution) -> None:
    """Leave a job alone whose lease went to somebody else, and leave nothing of this run behind."""
    with job.connection.pipeline() as pipe:
        _strike(pipe, job.started_job_registry.key, execution)
        pipe.srem(execution.worker_executions_key, execution.composite_key)
        pipe.execute()
    if not job.connection.hexists(job.key, "data"):
        job.connection.delete(job.key)  # whoever had it last was done with it: only this run's notes brought it back


def take_back_expired(queue: Queue) -> None:
    """Put jobs whose lease is over back to the front of the queue."""
    executions = _running(queue)
    with queue.connection.pipeline(transaction=False) as pipe:
        for execution in executions:
            pipe.exists(execution.key)
        leases = pipe.execute()
    for execution, lease in zip(executions, leases, strict=True):
        if not lease:
            _take_back(queue, execution)


def take_back_from(queue: Queue, worker: str) -> None:
    """Put back at once what a process was at whose end was seen."""
    held = cast(set[bytes], queue.connection.smembers(WORKER_EXECUTIONS_KEY_TEMPLATE.format(worker)))
    for entry in held:
        execution = Execution.from_composite_key(entry.decode(), queue.connection)
        queue.connection.delete(execution.key)
        _take_back(queue, execution)


def _running(queue: Queue) -> list[Execution]:
    client, registry = queue.connection, queue.started_job_registry.key
    executions = []
    for entry in cast(list[bytes], client.zrange(registry, 0, -1)):
        try:
            executions.append(Execution.from_composite_key(entry.decode(), client))
        except ValueError:  # nothing of RQ's
            client.zrem(registry, entry)
    return executions


def _take_back(queue: Queue, execution: Execution) -> None:
    """Into the queue again, or given up. If anybody touches the job or its lease meanwhile, that counts."""
    key, registry = Job.key_for(execution.job_id), queue.started_job_registry.key
    with queue.connection.pipeline() as pipe:
        pipe.watch(key, execution.key)
        if pipe.exists(execution.key):
            return
        last_until = pipe.zscore(registry, execution.composite_key)
        job = _job_at_work(queue, execution.job_id) if last_until is not None else None
        deaths = (int(cast(bytes, pipe.hget(key, "deaths")) or 0) if job else 0) + 1
        stuck = job is not None and _exceeded_its_limit(job, last_until or 0.0)
        again = job is not None and (job.should_retry if stuck else deaths <= DEATHS)
        if job is not None and not again:
            fail(job, JobTimeoutException() if stuck else AbandonedJobError())
        pipe.multi()
        _strike(pipe, registry, execution)
        if job is not None and again:
            if stuck and job.retries_left:
                job.retries_left -= 1
            queue._enqueue_job(job, pipeline=pipe, at_front=True)  # a whole lecture may wait for it
            pipe.hset(key, "deaths", deaths)
        elif job is not None:
            record_job_failure(job, "its worker was lost too often", pipe)
        try:
            pipe.execute()
        except redis.WatchError:
            return
    if job is not None and again:
        count_retry("timeout" if stuck else "worker_died")
    if job is not None:
        log.warning("job taken back" if again else "job given up", job=execution.job_id, lost_workers=deaths)


def _job_at_work(queue: Queue, job_id: str) -> Job | None:
    """The job, if it counts as being worked on: not where it was done, or never begun, or cannot be read."""
    try:
        job = queue.fetch_job(job_id)
    except Exception as unreadable:
        log.warning("a job that cannot be read is left alone", error=type(unreadable).__name__)
        return None
    return job if job is not None and job.get_status(refresh=False) == JobStatus.STARTED else None


def _exceeded_its_limit(job: Job, last_until: float) -> bool:
    """Whether its lease was renewed up to the job's time limit; by the clock of the worker that had it."""
    if job.started_at is None or job.timeout is None:
        return False
    return bool(last_until - LEASE_S - job.started_at.timestamp() > job.timeout - RENEW_EVERY_S)


def _strike(pipe: Pipeline, registry: str, execution: Execution) -> None:
    pipe.zrem(registry, execution.composite_key)
    pipe.delete(execution.key)
    pipe.zrem(ExecutionRegistry.key_template.format(execution.job_id), execution.id)
