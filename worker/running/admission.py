"""Admission of jobs: only jobs for a chunk in flight run. All others are discarded.

RQ runs everything that a job names: its function, its callbacks, its webhooks. A job that RQ cannot read ends the
worker. But a stranger may have written the job. So each job is checked here first, and RQ gets only the few fields that
our jobs have.
"""

import re
import zlib
from collections.abc import Mapping
from typing import Any, cast

import msgspec
import redis
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.executions import ExecutionRegistry
from rq.job import Job

from worker.contract.connection import foreign_values_skipped
from worker.contract.jobs import FAILED_JOB_TTL_S, JOB, JOB_TIMEOUT_S, MAX_JOB_RETRIES, QUEUE, chunk_of_job_id, job_id
from worker.contract.keys import LectureKeys
from worker.contract.limits import MAX_CHUNKS
from worker.contract.messages import decode
from worker.contract.queue import discard_job, enqueue_chunk, frame_queue
from worker.metrics.counters import JOBS_REFUSED, RefusalReason

# Our call takes some 100 bytes. A stranger's may become a thousand times larger when zlib decompresses it.
MAX_CALL_BYTES = 4096

_FIELDS = frozenset(
    [
        "data",
        "created_at",
        "enqueued_at",
        "started_at",
        "ended_at",
        "last_heartbeat",
        "status",
        "origin",
        "worker_name",
        "description",
        "timeout",
        "retries_left",
        "number_of_retries",
        "enqueue_at_front_on_retry",
    ]
)
"""The fields of a job that RQ gets to read."""

_FORBIDDEN = frozenset(
    [
        "success_callback_name",
        "failure_callback_name",
        "stopped_callback_name",
        "webhooks",
        "dependency_ids",
        "dependency_id",
        "group_id",
        "repeats_left",
        "rate_limit_key",
    ]
)
"""Fields that make RQ do more than call the function. They are empty in our jobs."""


class JobRefused(Exception):
    """A job that must not run."""

    def __init__(self, reason: RefusalReason) -> None:
        super().__init__(reason)
        self.reason = reason


class ChunkJob(Job):
    """The job of a chunk. RQ cannot fetch any other job."""

    @classmethod
    def fetch(cls, id: str, connection: redis.Redis | None = None, serializer: Any = None) -> "ChunkJob":
        """The job `id`. A job that must not run is discarded, and then, or if there is none, raises NoSuchJobError."""
        assert connection is not None
        try:
            job = cast(ChunkJob, super().fetch(id, connection, serializer))
            if id != job_id(*job.args):
                raise JobRefused("arguments")
            _check_in_flight(connection, *job.args)
            _remove_foreign_executions(connection, id)
        except JobRefused as refusal:
            refuse(connection, id, refusal.reason)
        except (redis.exceptions.ResponseError, ValueError):  # not a hash, or an id that RQ does not accept
            refuse(connection, id, "unreadable")
        else:
            return job
        raise NoSuchJobError(f"job {id!r} was refused")

    def restore(self, raw_data: Mapping[bytes, bytes]) -> None:
        """As in RQ, but only after a check of everything that the job may do. Raises JobRefused."""
        stored = {name.decode(errors="replace"): value for name, value in raw_data.items()}
        if any(stored.get(name) for name in _FORBIDDEN):
            raise JobRefused("function")
        check_call(stored.get("data", b""))
        try:
            super().restore({name.encode(): value for name, value in stored.items() if name in _FIELDS})
        except (ValueError, KeyError, TypeError, OverflowError, AssertionError):
            raise JobRefused("unreadable") from None
        if self.origin != QUEUE:
            raise JobRefused("unreadable")
        # A stranger may have asked for more time or retries.
        self.timeout = JOB_TIMEOUT_S
        self.retries_left = min(max(self.retries_left or 0, 0), MAX_JOB_RETRIES)
        self.result_ttl = 0
        self.failure_ttl = FAILED_JOB_TTL_S


class ChunkQueue(Queue):
    """RQ's queue, without ids that no job of ours can have."""

    @classmethod
    def lmove(cls, connection: redis.Redis, queue_key: str, timeout: int | None) -> tuple[str, bytes] | None:
        """The queue and the next job's id; None if there is none, or if RQ could not handle the id."""
        moved = cast("tuple[str, bytes] | None", super().lmove(connection, queue_key, timeout))
        if moved is not None and not _ID.fullmatch(moved[1]):
            refuse(connection, moved[1], "unreadable")
            return None
        return moved


_ID = re.compile(rb"[A-Za-z0-9_-]{1,128}")


def check_call(data: bytes) -> tuple[str, int]:
    """The lecture and the chunk's number in the stored call of a job. Raises JobRefused."""
    try:
        call = decode(_decompressed(data), tuple[str, Any, list[Any], Any])
    except ValueError:
        raise JobRefused("unreadable") from None
    function, instance, arguments, named = call
    if function != JOB or instance is not None:
        raise JobRefused("function")
    try:
        lecture, number = msgspec.convert(arguments, tuple[str, int])
        LectureKeys(lecture)
    except ValueError:
        raise JobRefused("arguments") from None
    if named or not 0 <= number < MAX_CHUNKS:
        raise JobRefused("arguments")
    return lecture, number


def refuse(client: redis.Redis, job: str | bytes, reason: RefusalReason) -> None:
    """Discard a job and count it. If it has the id of a chunk in flight, that chunk is enqueued again."""
    discard_job(client, job)
    JOBS_REFUSED.labels(reason).inc()
    with foreign_values_skipped():
        if (chunk := chunk_of_job_id(job)) and client.hexists(LectureKeys(chunk[0]).in_flight, str(chunk[1])):
            enqueue_chunk(frame_queue(client), *chunk)


def _decompressed(data: bytes) -> bytes:
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(data, MAX_CALL_BYTES)
    except zlib.error:
        return data[:MAX_CALL_BYTES]  # not compressed, which RQ accepts too
    if not stream.eof:
        raise JobRefused("unreadable")
    return data


def _check_in_flight(client: redis.Redis, lecture: str, number: int) -> None:
    keys = LectureKeys(lecture)
    if not client.hexists(keys.in_flight, str(number)):
        raise JobRefused("not_in_flight" if client.exists(keys.info) else "unknown_lecture")


def _remove_foreign_executions(client: redis.Redis, job: str) -> None:
    """Remove the key of the job's executions if it has a wrong type. RQ would end every worker that begins the job."""
    executions = ExecutionRegistry.key_template.format(job)
    if client.type(executions) not in (b"none", b"zset"):
        client.unlink(executions)
