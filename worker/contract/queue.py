"""The RQ queue that carries the jobs: enqueue a chunk, and remove every trace of a job."""

from typing import cast

import redis
from rq import Queue, Retry
from rq.defaults import RQ_KEY_PREFIX
from rq.serializers import JSONSerializer

from worker.contract.jobs import FAILED_JOB_TTL_S, JOB, JOB_TIMEOUT_S, MAX_JOB_RETRIES, QUEUE, job_id

QUEUE_KEY = f"{RQ_KEY_PREFIX}:queue:{QUEUE}"
"""List: the ids of waiting jobs. A second list, with the suffix `:intermediate`, has those that are being dequeued."""

RQ_KEYS = f"{RQ_KEY_PREFIX}:*"
"""A SCAN pattern that finds every key of RQ."""

REGISTRIES = [f"{RQ_KEY_PREFIX}:{kind}:{QUEUE}" for kind in ("finished", "failed", "deferred", "scheduled", "canceled")]
"""Sorted sets: the ids of jobs that RQ keeps beside the queue. Running jobs are in a registry of their own."""


def frame_queue(client: redis.Redis) -> Queue:
    """The queue of chunks that wait for a worker."""
    return Queue(QUEUE, connection=client, serializer=JSONSerializer, default_timeout=JOB_TIMEOUT_S)


def enqueue_chunk(queue: Queue, lecture: str, chunk: int) -> None:
    """Enqueue the job of a chunk that is stored in Redis."""
    queue.enqueue_call(
        JOB,
        args=(lecture, chunk),
        job_id=job_id(lecture, chunk),
        timeout=JOB_TIMEOUT_S,
        result_ttl=0,
        failure_ttl=FAILED_JOB_TTL_S,
        retry=Retry(max=MAX_JOB_RETRIES, enqueue_at_front=True),  # the whole lecture waits for it
        description=f"lecture {lecture}, chunk {chunk}",
    )


def discard_job(client: redis.Redis, job: str | bytes) -> None:
    """Remove every trace of a job from Redis: its hash, its results, and its entries in all of RQ's lists."""
    name = job if isinstance(job, bytes) else job.encode()
    executions = rq_key("executions", name)
    with client.pipeline(transaction=False) as pipe:
        pipe.zrange(executions, 0, -1)
        for waiting in (QUEUE_KEY, f"{QUEUE_KEY}:intermediate"):
            pipe.lrem(waiting, 0, cast(str, name))
        for registry in REGISTRIES:
            pipe.zrem(registry, name)
        key = rq_key("job", name)
        pipe.unlink(key, key + b":dependents", key + b":dependencies", rq_key("results", name), executions)
        pipe.unlink(rq_key(f"queue:{QUEUE}:intermediate:first_seen", name))
        # If a stranger wrote one of these keys with another type, its command fails. It then holds nothing of this job.
        runs, *_ = pipe.execute(raise_on_error=False)
    for run in runs if isinstance(runs, list) else []:
        execution = run if run.startswith(name + b":") else name + b":" + run
        client.zrem(f"{RQ_KEY_PREFIX}:wip:{QUEUE}", execution)
        client.unlink(rq_key("execution", execution))


def rq_key(kind: str, name: bytes) -> bytes:
    """RQ's key of a job or an execution, by kind."""
    return f"{RQ_KEY_PREFIX}:{kind}:".encode() + name
