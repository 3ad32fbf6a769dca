"""The job: one chunk of frames, from Redis to Redis. It fetches the chunk, observes it, stores the outcome and commits.

Any worker may process any chunk, in any order and more than once. The outcome is the same, and its events are published
exactly once, because the commit is ordered (`worker.commit`).
"""

import traceback
from collections.abc import Iterator
from random import choice
from types import TracebackType
from typing import cast

import redis
import structlog
from msgspec import structs
from rq import get_current_job
from rq.exceptions import AbandonedJobError
from rq.job import Job
from rq.timeouts import JobTimeoutException

from worker.commit import commit, has_outcome
from worker.contract.connection import foreign_values_skipped
from worker.contract.jobs import JOB, JOB_TIMEOUT_S, job_id
from worker.contract.keys import RUNNING, LectureKeys
from worker.contract.lifetimes import RETENTION_S
from worker.contract.messages import Chunk, LectureProgress, decode, encode
from worker.contract.reasons import FailureReason
from worker.metrics.counters import JOB_RETRIES, JOB_SECONDS, JOBS_REFUSED, count_observed, timed
from worker.outcome import Outcome
from worker.perception.manifest import SHIPPED, ChosenModels
from worker.perception.perception import Perception
from worker.time_limit import time_limit

log = structlog.get_logger()


class ChunkGone(Exception):
    """The pixels of a chunk without an outcome have expired."""


_loaded: Perception | None = None


def load_perception(models: ChosenModels = SHIPPED) -> Perception:
    """Load this process' models; a process has one set."""
    global _loaded
    _loaded = Perception(models.folder, models.mode)
    return _loaded


def perception() -> Perception:
    """This process' models; the shipped ones if nothing was loaded before."""
    return _loaded or load_perception()


@JOB_SECONDS.time()
def process(lecture: str, number: int) -> None:
    """Process one chunk of a lecture, and commit every chunk whose turn has come."""
    job = cast(Job, get_current_job())
    if _chunk_of(job) is None:
        raise ValueError("the job does not name a chunk")
    client, keys = job.connection, LectureKeys(lecture)
    if _is_uncommitted(client, keys, number) and not has_outcome(client, keys, number):
        _process_chunk(client, keys, number, int(job.timeout or JOB_TIMEOUT_S), one_by_one=not job.retries_left)
    commit(client, lecture)


def give_up(job: Job, kind: type[BaseException], failure: BaseException, _: TracebackType | None) -> bool:
    """RQ's exception handler. If no retry is left, the chunk fails."""
    if not job.retries_left:
        fail(job, failure)
    elif _chunk_of(job):
        JOB_RETRIES.labels(_reason(failure)).inc()
    return True


def fail(job: Job, failure: BaseException) -> None:
    """Store the failure as the outcome of the job's chunk, unless it has one, and commit."""
    if chunk := _chunk_of(job):
        keys, number = chunk
        # If a stranger wrote the lecture's state, none of its chunks can be committed.
        with foreign_values_skipped(lambda _: JOBS_REFUSED.labels("foreign_state").inc()):
            _store(job.connection, keys, number, Outcome(failure=_reason(failure)))
            commit(job.connection, keys.lecture)


def make_room(client: redis.Redis) -> bool:
    """Process one chunk in flight, without its job. Returns whether there was one.

    Used when Redis is full and RQ cannot dequeue a job. The outcome replaces the pixels of the chunk and is many times
    smaller. It is harmless if another worker processes the same chunk.
    """
    try:
        with_pixels = list(_with_pixels(client))
        if not with_pixels:
            return False
        keys, number = choice(with_pixels)  # nosec B311  # no secret depends on it
        _process_chunk(client, keys, number, JOB_TIMEOUT_S, one_by_one=False)
    except Exception as failure:  # the chunk's own job will raise it again and handle it
        log.error("could not make room in Redis", error=_described(failure))
        return False
    return True


def _with_pixels(client: redis.Redis) -> Iterator[tuple[LectureKeys, int]]:
    """The chunks in flight whose pixels are in Redis. Lectures that a stranger wrote are left out."""
    for lecture in cast(set[bytes], client.smembers(RUNNING)):
        with foreign_values_skipped():
            keys = LectureKeys(lecture.decode())
            for number in map(int, cast(list[bytes], client.hkeys(keys.in_flight))):
                if client.exists(keys.chunk(number)):
                    yield keys, number


def _chunk_of(job: Job) -> tuple[LectureKeys, int] | None:
    """The lecture and the chunk of a job; None for a stranger's job."""
    if job.func_name != JOB or list(map(type, job.args)) != [str, int] or job.id != job_id(*job.args):
        return None
    try:
        return LectureKeys(job.args[0]), job.args[1]
    except ValueError:
        return None


def _is_uncommitted(client: redis.Redis, keys: LectureKeys, number: int) -> bool:
    """Whether the chunk is in flight and not committed yet."""
    with client.pipeline(transaction=False) as pipe:  # a full Redis refuses transactions, even to read
        pipe.hexists(keys.in_flight, str(number))
        pipe.get(keys.state)
        fed, state = pipe.execute()
    return bool(fed and state) and number >= decode(state, LectureProgress).next_chunk


def _process_chunk(client: redis.Redis, keys: LectureKeys, number: int, seconds: int, one_by_one: bool) -> None:
    """Fetch a chunk, observe it within a time limit of `seconds`, and store the outcome."""
    chunk, head = _fetch(client, keys, number)
    with time_limit(seconds):
        outcome = _observed(chunk, one_by_one)
    _store(client, keys, number, outcome, head)


@timed("fetch")
def _fetch(client: redis.Redis, keys: LectureKeys, number: int) -> tuple[Chunk, bytes]:
    """The chunk, and its stored head, which shows later whether Redis still has the same chunk (see `_store`)."""
    fields = cast(dict[bytes, bytes], client.hgetall(keys.chunk(number)))
    if not fields:
        raise ChunkGone(f"chunk {number} is gone")
    return Chunk.from_hash(fields), fields[b"head"]


def _observed(chunk: Chunk, one_by_one: bool) -> Outcome:
    """The outcome of a chunk. `one_by_one` is for the last attempt: a picture that raises fails alone."""
    if chunk.head.ending is not None:
        return Outcome(ending=chunk.head.ending)
    chunk, raising = _without_raising(chunk) if one_by_one else (chunk, {})
    seen = perception().observe(chunk)
    count_observed(seen.frames, seen.escalated, seen.step_s, seen.inference_s)
    version = perception().model_version
    return Outcome(seen.frames, seen.failed | raising, model_version=version, taken=chunk.head.taken)


def _without_raising(chunk: Chunk) -> tuple[Chunk, dict[int, FailureReason]]:
    """The chunk without the pictures that raise, and the failure reason of their frames."""
    harmless: list[int] = []
    raising: dict[int, FailureReason] = {}
    for i, stamp in enumerate(chunk.head.frames):
        try:
            perception().observe(_part(chunk, [i]))
        except JobTimeoutException:
            raise
        except Exception as failure:
            log.error("a frame cannot be processed", frame=stamp.frame, error=_described(failure))
            raising[stamp.frame] = _reason(failure)
        else:
            harmless.append(i)
    return _part(chunk, harmless), raising


def _part(chunk: Chunk, pictures: list[int]) -> Chunk:
    head = structs.replace(chunk.head, frames=[chunk.head.frames[i] for i in pictures])
    return Chunk(head, [chunk.jpegs[i] for i in pictures])


# Replaces a chunk's pixels by its outcome in one step, so that pixels are deleted at once and never without an outcome.
# A Redis at its `maxmemory` refuses a transaction, but a script that has deleted something may write. An outcome that
# is already there is kept. If the head is not ARGV[3], the lecture was forgotten and another one has begun under the
# same id; then nothing happens.
_REPLACE_PIXELS = """
local head = redis.call('HGET', KEYS[1], 'head')
if head and ARGV[3] and head ~= ARGV[3] then return end
redis.call('DEL', KEYS[1])
if redis.call('TYPE', KEYS[2]).ok ~= 'string' then redis.call('DEL', KEYS[2]) end
return redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2], 'NX')
"""


@timed("write")
def _store(client: redis.Redis, keys: LectureKeys, number: int, outcome: Outcome, head: bytes | None = None) -> None:
    """Replace a chunk's pixels by its outcome; with `head`, only if the chunk has this head."""
    replace = client.register_script(_REPLACE_PIXELS)
    expected_head = [] if head is None else [head]
    replace(keys=[keys.chunk(number), keys.outcome(number)], args=[encode(outcome), RETENTION_S, *expected_head])
    if not _is_uncommitted(client, keys, number):
        client.delete(keys.outcome(number))  # too late: the chunk is committed or the lecture forgotten


def _described(failure: BaseException) -> str:
    """A failure for the log. Values of variables are left out, because they could contain pixels."""
    last = traceback.extract_tb(failure.__traceback__)[-1]
    return f"{type(failure).__name__}: {str(failure)[:200]} ({last.filename}:{last.lineno})"


def _reason(failure: BaseException) -> FailureReason:
    """The ledger's word for a failure."""
    if isinstance(failure, JobTimeoutException):
        return "timeout"
    if isinstance(failure, AbandonedJobError):
        return "worker_died"
    if isinstance(failure, ChunkGone):
        return "expired"
    return "error"
