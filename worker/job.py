"""The job: one chunk of frames, from Redis to Redis. Read it and you know the system.

Any worker may take any chunk, in any order, and take it twice: the outcome is the same, and it is told once, because
the commit is ordered (see worker.commit).
"""

import traceback
from random import choice
from types import TracebackType
from typing import cast

import msgspec
import redis
import structlog
from msgspec import structs
from rq import get_current_job
from rq.exceptions import AbandonedJobError
from rq.job import Job
from rq.timeouts import JobTimeoutException

from worker.commit import commit, has_outcome
from worker.contract.keys import RUNNING, LectureKeys
from worker.contract.messages import Chunk, LectureProgress, encode
from worker.contract.server import JOB, JOB_TIMEOUT_S, RETENTION_S, job_id
from worker.limit import time_limit
from worker.manifest import MODELS, EnsembleMode
from worker.metrics import JOB_SECONDS, JOBS_REFUSED, count_retry, timed
from worker.observations import Outcome
from worker.perception import Perception

log = structlog.get_logger()


class ChunkGone(Exception):
    """The pixels of a chunk that was never worked on are gone: their time to live was over."""


_loaded: Perception | None = None


def load_perception(mode: EnsembleMode = "full") -> Perception:
    """Load the networks of this process, of which it has one set."""
    global _loaded
    _loaded = Perception(MODELS, mode)
    return _loaded


def perception() -> Perception:
    """The networks of this process; those of the full ensemble where nothing else was loaded before."""
    return _loaded or load_perception()


@JOB_SECONDS.time()
def process(lecture: str, number: int) -> None:
    """Fetch a chunk, see who displays what, write that down, commit what can be committed."""
    job = cast(Job, get_current_job())
    if _chunk_of(job) is None:
        raise ValueError("a job that is for no chunk")
    client, keys = job.connection, LectureKeys(lecture)
    if _has_its_turn_before(client, keys, number) and not has_outcome(client, keys, number):
        chunk, head = _fetch(client, keys, number)
        with time_limit(int(job.timeout or JOB_TIMEOUT_S)):
            outcome = _seen(chunk, carefully=not job.retries_left)
        _write_down(client, keys, number, outcome, head)
    commit(client, lecture)


def give_up(job: Job, kind: type[BaseException], failure: BaseException, _: TracebackType | None) -> bool:
    """RQ's exception handler. When no retry is left, the chunk fails."""
    if not job.retries_left:
        fail(job, failure)
    elif _chunk_of(job):
        count_retry(_reason(failure))
    return True


def fail(job: Job, failure: BaseException) -> None:
    """The outcome of the job's chunk, if it has none, is its failure, and the lecture moves on."""
    if chunk := _chunk_of(job):
        keys, number = chunk
        try:
            _write_down(job.connection, keys, number, Outcome(failure=_reason(failure)))
            commit(job.connection, keys.lecture)
        except ValueError:  # the lecture's state is not what a worker of ours wrote: no chunk of it can be committed
            JOBS_REFUSED.labels("foreign_state").inc()


def make_room(client: redis.Redis) -> bool:
    """Work off a chunk that is in flight, whichever, without its job; whether there was one.

    For a Redis that is so full that no job can be taken out of the queue: this only reads, and puts what was seen in
    the place of the pixels, which are many times larger. Other workers may take the same chunk; no matter.
    """
    try:
        with_pixels = [
            (keys, int(number))
            for lecture in cast(set[bytes], client.smembers(RUNNING))
            for keys in [LectureKeys(lecture.decode())]
            for number in cast(list[bytes], client.hkeys(keys.in_flight))
            if client.exists(keys.chunk(int(number)))
        ]
        if not with_pixels:
            return False
        keys, number = choice(with_pixels)  # any will do  # nosec B311
        chunk, head = _fetch(client, keys, number)
        with time_limit(JOB_TIMEOUT_S):
            outcome = _seen(chunk, carefully=False)
        _write_down(client, keys, number, outcome, head)
    except Exception as failure:  # the chunk's own job will see what becomes of it
        log.error("could not make room in Redis", error=_described(failure))
        return False
    return True


def _chunk_of(job: Job) -> tuple[LectureKeys, int] | None:
    """The lecture and the chunk that a job is for; None for a stranger's job, which just fails."""
    if job.func_name != JOB or list(map(type, job.args)) != [str, int] or job.id != job_id(*job.args):
        return None
    try:
        return LectureKeys(job.args[0]), job.args[1]
    except ValueError:
        return None


def _has_its_turn_before(client: redis.Redis, keys: LectureKeys, number: int) -> bool:
    """Whether the chunk is still to be committed. Not where the lecture was forgotten, is over or has moved past it."""
    with client.pipeline(transaction=False) as pipe:  # a full Redis refuses transactions, also to read
        pipe.hexists(keys.in_flight, str(number))
        pipe.get(keys.state)
        fed, state = pipe.execute()
    return bool(fed and state) and number >= msgspec.json.decode(state, type=LectureProgress).next_chunk


@timed("fetch")
def _fetch(client: redis.Redis, keys: LectureKeys, number: int) -> tuple[Chunk, bytes]:
    """The chunk, and its head as it is stored, by which it is told from any other of that number."""
    fields = cast(dict[bytes, bytes], client.hgetall(keys.chunk(number)))
    if not fields:
        raise ChunkGone(f"chunk {number} is gone")
    return Chunk.from_hash(fields), fields[b"head"]


def _seen(chunk: Chunk, carefully: bool) -> Outcome:
    if chunk.head.ending is not None:
        return Outcome(ending=chunk.head.ending)
    chunk, raising = _without_what_raises(chunk) if carefully else (chunk, {})
    sight = perception().look(chunk)
    failed, version = sight.failed | raising, perception().model_version
    return Outcome(sight.frames, failed, model_version=version, taken=chunk.head.taken)


def _without_what_raises(chunk: Chunk) -> tuple[Chunk, dict[int, str]]:
    """The chunk without the pictures that raise when they are looked at alone, and why their frames failed.

    For the last try: what came before failed as a whole, because of any of them.
    """
    harmless, raising = [], {}
    for i, stamp in enumerate(chunk.head.frames):
        try:
            perception().look(_part(chunk, [i]))
        except JobTimeoutException:
            raise
        except Exception as failure:
            log.error("a frame cannot be worked on", frame=stamp.frame, error=_described(failure))
            raising[stamp.frame] = _reason(failure)
        else:
            harmless.append(i)
    return _part(chunk, harmless), raising


def _part(chunk: Chunk, pictures: list[int]) -> Chunk:
    head = structs.replace(chunk.head, frames=[chunk.head.frames[i] for i in pictures])
    return Chunk(head, [chunk.jpegs[i] for i in pictures])


# One step, so that what was seen is safe before the pixels go, and they go as soon as it is. A script may write to a
# Redis at its `maxmemory` once it has deleted something, a transaction may not: this is how room comes back. The first
# outcome counts. If the pixels there are not those that were looked at, the lecture was forgotten and another begun by
# its name, while whoever looked stood still: then nothing happens.
_REPLACE_PIXELS = """
local head = redis.call('HGET', KEYS[1], 'head')
if head and ARGV[3] and head ~= ARGV[3] then return end
redis.call('DEL', KEYS[1])
if redis.call('TYPE', KEYS[2]).ok ~= 'string' then redis.call('DEL', KEYS[2]) end
return redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2], 'NX')
"""


@timed("write")
def _write_down(
    client: redis.Redis, keys: LectureKeys, number: int, outcome: Outcome, head: bytes | None = None
) -> None:
    """Put an outcome in the place of a chunk's pixels; with `head`, only of those of the chunk that has it."""
    replace = client.register_script(_REPLACE_PIXELS)
    looked_at = [] if head is None else [head]
    replace(keys=[keys.chunk(number), keys.outcome(number)], args=[encode(outcome), RETENTION_S, *looked_at])
    if not _has_its_turn_before(client, keys, number):
        client.delete(keys.outcome(number))  # too late: the lecture was forgotten or has moved on, leave nothing behind


def _described(failure: BaseException) -> str:
    """For the log; without the values of variables, which would show pixels."""
    last = traceback.extract_tb(failure.__traceback__)[-1]
    return f"{type(failure).__name__}: {str(failure)[:200]} ({last.filename}:{last.lineno})"


def _reason(failure: BaseException) -> str:
    """A word for the ledger. A closed list: what an exception says may hold anything."""
    if isinstance(failure, JobTimeoutException):
        return "timeout"
    if isinstance(failure, AbandonedJobError):
        return "worker_died"
    if isinstance(failure, ChunkGone):
        return "expired"
    return "error"
