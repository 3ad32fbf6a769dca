"""The job: one chunk of frames, from Redis to Redis. Read it and you know the system.

Any worker may take any chunk, in any order, and take it twice: the outcome is the same, and it is told once, because
the commit is ordered (see worker.commit).
"""

from types import TracebackType
from typing import cast

import msgspec
import redis
from rq import get_current_job
from rq.exceptions import AbandonedJobError
from rq.job import Job
from rq.timeouts import JobTimeoutException

from worker.commit import LectureState, commit
from worker.contract.keys import LectureKeys
from worker.contract.messages import Chunk, encode
from worker.contract.server import JOB, RETENTION_S
from worker.manifest import MODELS, EnsembleMode
from worker.metrics import JOBS_REFUSED
from worker.observations import Outcome
from worker.perception import BadPicture, Perception


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


def process(lecture: str, number: int) -> None:
    """Fetch a chunk, see who displays what, write that down, commit what can be committed."""
    client, keys = cast(Job, get_current_job()).connection, LectureKeys(lecture)
    if _has_its_turn_before(client, keys, number) and not client.exists(keys.outcome(number)):
        chunk = _fetch(client, keys, number)
        _write_down(client, keys, number, _seen(chunk))
    commit(client, lecture)


def give_up(job: Job, kind: type[BaseException], failure: BaseException, _: TracebackType | None) -> bool:
    """RQ's exception handler. When no retry is left, the chunk's outcome is its failure, and the lecture moves on."""
    if not job.retries_left and (chunk := _chunk_of(job)):
        keys, number = chunk
        try:
            _write_down(job.connection, keys, number, Outcome(failure=_reason(failure)))
            commit(job.connection, keys.lecture)
        except ValueError:  # the lecture's state is not what a worker of ours wrote: no chunk of it can be committed
            JOBS_REFUSED.labels("foreign_state").inc()
    return True


def _chunk_of(job: Job) -> tuple[LectureKeys, int] | None:
    """The lecture and the chunk that a job is for; None for a stranger's job, which just fails."""
    if job.func_name != JOB or list(map(type, job.args)) != [str, int]:
        return None
    try:
        return LectureKeys(job.args[0]), job.args[1]
    except ValueError:
        return None


def _has_its_turn_before(client: redis.Redis, keys: LectureKeys, number: int) -> bool:
    """Whether the chunk is still to be committed. It is not where the lecture was forgotten, or has moved past it."""
    stored = client.get(keys.state)
    return stored is not None and number >= msgspec.json.decode(stored, type=LectureState).next_chunk


def _fetch(client: redis.Redis, keys: LectureKeys, number: int) -> Chunk:
    fields = cast(dict[bytes, bytes], client.hgetall(keys.chunk(number)))
    if not fields:
        raise ChunkGone(f"chunk {number} is gone")
    return Chunk.from_hash(fields)


def _seen(chunk: Chunk) -> Outcome:
    if chunk.head.ending is not None:
        return Outcome(ending=chunk.head.ending)
    return Outcome(frames=perception().look(chunk), model_version=perception().model_version)


def _write_down(client: redis.Redis, keys: LectureKeys, number: int, outcome: Outcome) -> None:
    client.set(keys.outcome(number), encode(outcome), ex=RETENTION_S)
    if not _has_its_turn_before(client, keys, number):
        client.delete(keys.outcome(number))  # too late: the lecture was forgotten or has moved on, leave nothing behind


def _reason(failure: BaseException) -> str:
    """A word for the ledger. A closed list: what an exception says may hold anything."""
    if isinstance(failure, JobTimeoutException):
        return "timeout"
    if isinstance(failure, AbandonedJobError):
        return "worker_died"
    if isinstance(failure, ChunkGone):
        return "expired"
    if isinstance(failure, BadPicture):
        return "bad_picture"
    return "error"
