"""Which jobs are let in: those for a chunk that is in flight. Whatever else lies in the queue is thrown away unrun.

RQ runs what a job names: its function, its callbacks, its webhooks; and it ends a worker over a job that it cannot
read. So a job is read here first, as what a stranger may have written, and RQ gets to see the few fields that ours
have.
"""

import re
import zlib
from collections.abc import Mapping
from typing import Any, Literal, cast

import msgspec
import redis
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.executions import ExecutionRegistry
from rq.job import Job

from worker.contract.jobs import FAILED_JOB_TTL_S, JOB, JOB_TIMEOUT_S, MAX_JOB_RETRIES, QUEUE, chunk_of_job_id, job_id
from worker.contract.keys import LectureKeys
from worker.contract.limits import MAX_CHUNKS
from worker.contract.queue import discard_job, enqueue_chunk, frame_queue
from worker.metrics.counters import JOBS_REFUSED

Reason = Literal["unreadable", "function", "arguments", "unknown_lecture", "not_in_flight", "foreign_state"]
"""Why a job is thrown away, or (`foreign_state`) came to nothing.

`not_in_flight` may also be one of ours that came twice, and was done the first time.
"""

# Our call takes some 100 bytes. zlib makes a thousand times as much of what a stranger sends.
CALL_BYTES = 4096

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
"""What is read of a job. Nothing else that is stored reaches RQ."""

_TEMPTING = frozenset(
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
"""Fields by which a job makes RQ do more than to call its function. Ours leave them empty."""


class Refused(Exception):
    """A job that is not let in."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class ChunkJob(Job):
    """A job that can only be a chunk's: anything else is, to RQ, no job at all."""

    @classmethod
    def fetch(cls, id: str, connection: redis.Redis | None = None, serializer: Any = None) -> "ChunkJob":
        """The job `id`; NoSuchJobError where there is none, or one that is no chunk's, which is then gone."""
        assert connection is not None
        try:
            job = cast(ChunkJob, super().fetch(id, connection, serializer))
            if id != job_id(*job.args):
                raise Refused("arguments")
            _check_in_flight(connection, *job.args)
            _clear_the_way(connection, id)
        except Refused as refusal:
            refuse(connection, id, refusal.reason)
        except (redis.exceptions.ResponseError, ValueError):  # no hash, or an id that RQ does not take
            refuse(connection, id, "unreadable")
        else:
            return job
        raise NoSuchJobError(f"job {id!r} was refused")

    def restore(self, raw_data: Mapping[bytes, bytes]) -> None:
        """RQ's, with what a job may name and may ask for checked before. Raises Refused."""
        stored = {name.decode(errors="replace"): value for name, value in raw_data.items()}
        if any(stored.get(name) for name in _TEMPTING):
            raise Refused("function")
        check_call(stored.get("data", b""))
        try:
            super().restore({name.encode(): value for name, value in stored.items() if name in _FIELDS})
        except (ValueError, KeyError, TypeError, OverflowError, AssertionError):
            raise Refused("unreadable") from None
        if self.origin != QUEUE:
            raise Refused("unreadable")
        # A job gets the time and the tries that ours have, whatever it asks for.
        self.timeout = JOB_TIMEOUT_S
        self.retries_left = min(max(self.retries_left or 0, 0), MAX_JOB_RETRIES)
        self.result_ttl = 0
        self.failure_ttl = FAILED_JOB_TTL_S


class ChunkQueue(Queue):
    """RQ's queue, in which an id that no job of ours can have is passed over."""

    @classmethod
    def lmove(cls, connection: redis.Redis, queue_key: str, timeout: int | None) -> tuple[str, bytes] | None:
        """The next id; None where there is none, or one that RQ would stumble over."""
        taken = cast("tuple[str, bytes] | None", super().lmove(connection, queue_key, timeout))
        if taken is not None and not _ID.fullmatch(taken[1]):
            refuse(connection, taken[1], "unreadable")
            return None
        return taken


_ID = re.compile(rb"[A-Za-z0-9_-]{1,128}")


def check_call(data: bytes) -> tuple[str, int]:
    """The lecture and the chunk's number that the stored call of a job asks for. Raises Refused."""
    try:
        function, instance, arguments, named = msgspec.json.decode(
            _unpacked(data), type=tuple[str, Any, list[Any], Any]
        )
    except (ValueError, RecursionError):
        raise Refused("unreadable") from None
    if function != JOB or instance is not None:
        raise Refused("function")
    try:
        lecture, number = msgspec.convert(arguments, tuple[str, int])
        LectureKeys(lecture)
    except ValueError:
        raise Refused("arguments") from None
    if named or not 0 <= number < MAX_CHUNKS:
        raise Refused("arguments")
    return lecture, number


def refuse(client: redis.Redis, job: str | bytes, reason: Reason) -> None:
    """Throw a job away and count it. If its id is that of a chunk in flight, that chunk is asked for anew."""
    discard_job(client, job)
    JOBS_REFUSED.labels(reason).inc()
    if (chunk := chunk_of_job_id(job)) and client.hexists(LectureKeys(chunk[0]).in_flight, str(chunk[1])):
        enqueue_chunk(frame_queue(client), *chunk)


def _unpacked(data: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        data = unpacking.decompress(data, CALL_BYTES)
    except zlib.error:
        return data[:CALL_BYTES]  # RQ takes it as it is, too
    if not unpacking.eof:
        raise Refused("unreadable")
    return data


def _check_in_flight(client: redis.Redis, lecture: str, number: int) -> None:
    keys = LectureKeys(lecture)
    if not client.hexists(keys.in_flight, str(number)):
        raise Refused("not_in_flight" if client.exists(keys.info) else "unknown_lecture")


def _clear_the_way(client: redis.Redis, job: str) -> None:
    """Remove what a stranger put where RQ notes the job's runs: it would end every worker that begins the job."""
    runs = ExecutionRegistry.key_template.format(job)
    if client.type(runs) not in (b"none", b"zset"):
        client.unlink(runs)
