"""Repair of lectures whose producer died: chunks without a job, and abandoned lectures.

A chunk that is in flight without a job gets one. A lecture that no producer feeds is ended as stopped, once all fed
chunks are committed. Redis does not store since when a lecture has no producer, so `LectureRepair` remembers it.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, cast

import redis
import structlog
from rq import Queue

from worker.commit import end_abandoned, has_outcome, remove_from_running
from worker.contract.connection import foreign_values_skipped
from worker.contract.jobs import job_id
from worker.contract.keys import RUNNING, LectureKeys
from worker.contract.lifetimes import ABANDONED_S, FEEDER_TTL_S
from worker.contract.messages import LectureProgress, decode
from worker.contract.queue import enqueue_chunk, frame_queue

log = structlog.get_logger()


class LectureRepair:
    """Repairs all running lectures. `clock` returns seconds."""

    def __init__(self, client: redis.Redis, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._queue = frame_queue(client)
        self._clock = clock
        self._unfed_since: dict[str, float] = {}
        self._jobless: set[tuple[str, int]] = set()

    def run(self) -> None:
        """Check all running lectures, and repair them. Call it every few seconds."""
        lectures = self._running()
        self._enqueue_jobless(lectures)
        self._end_abandoned(lectures)

    def _running(self) -> list["_Lecture"]:
        lectures = []
        for name in sorted(cast(set[bytes], self._client.smembers(RUNNING))):
            with foreign_values_skipped(partial(self._leave_out, name)):
                if (found := self._lecture(name.decode())) is not None:
                    lectures.append(found)
        self._unfed_since = {
            each.name: self._unfed_since.get(each.name, self._clock()) for each in lectures if not each.fed
        }
        return lectures

    def _lecture(self, name: str) -> "_Lecture | None":
        """The lecture. If it does not run, it is removed from RUNNING, and the result is None.

        Raises ValueError if a stranger wrote it.
        """
        keys = LectureKeys(name)
        with self._client.pipeline(transaction=False) as pipe:  # a full Redis refuses transactions, even to read
            pipe.hget(keys.info, "status")
            pipe.exists(keys.feeder)
            pipe.hkeys(keys.in_flight)
            pipe.get(keys.state)
            status, fed, fields, state = pipe.execute()
        if status != b"running" or state is None:
            remove_from_running(self._client, name)
            return None
        next_chunk = decode(state, LectureProgress).next_chunk
        in_flight = [int(number) for number in fields]
        if stale := [number for number in in_flight if number < next_chunk]:
            # The producer got no answer when it stored the chunk, and stored it again after the commit.
            self._client.hdel(keys.in_flight, *map(str, stale))
        return _Lecture(name, bool(fed), [number for number in in_flight if number >= next_chunk])

    def _enqueue_jobless(self, lectures: list["_Lecture"]) -> None:
        """Enqueue chunks in flight without outcome and job.

        A chunk must be without a job at two checks in a row, because a producer stores the chunk before the job.
        """
        jobs = _jobs(self._queue)
        jobless = {
            (lecture.name, number)
            for lecture in lectures
            for number in lecture.in_flight
            if job_id(lecture.name, number) not in jobs
        }
        for name, number in sorted(jobless & self._jobless):
            if not has_outcome(self._client, LectureKeys(name), number):
                log.warning("chunk has no job, enqueued again", lecture=name, chunk=number)
                enqueue_chunk(self._queue, name, number)
        self._jobless = jobless - self._jobless

    def _end_abandoned(self, lectures: list["_Lecture"]) -> None:
        for name in [each.name for each in lectures if not each.fed and not each.in_flight]:
            if self._clock() - self._unfed_since[name] < ABANDONED_S - FEEDER_TTL_S:
                continue
            with foreign_values_skipped(partial(self._leave_out, name.encode())):
                if end_abandoned(self._client, name):
                    log.warning("lecture ended: its producer is gone", lecture=name)

    def _leave_out(self, name: bytes, failure: Exception) -> None:
        """Remove a lecture that a stranger wrote from the running ones."""
        log.warning("not a lecture, removed from the running ones", kind=type(failure).__name__)
        self._client.srem(RUNNING, name)


class _Lecture(NamedTuple):
    """A running lecture: whether a producer feeds it, and the numbers of its chunks in flight."""

    name: str
    fed: bool
    in_flight: list[int]


def _jobs(queue: Queue) -> set[str]:
    """The ids of all jobs that wait, are being dequeued, or run."""
    with queue.connection.pipeline(transaction=False) as pipe:  # in the order in which a job passes through them
        pipe.lrange(queue.key, 0, -1)
        pipe.lrange(queue.intermediate_queue_key, 0, -1)
        pipe.zrange(queue.started_job_registry.key, 0, -1)
        waiting, dequeued, running = pipe.execute()
    names = [each.decode(errors="replace") for each in [*waiting, *dequeued]]  # a stranger may have added anything
    return {*names, *(each.decode(errors="replace").rpartition(":")[0] for each in running)}
