"""LectureRepair: chunks that nobody was asked to work on, and lectures that nobody feeds any more.

Both come of producers that die. A chunk that was accounted and not asked for any more gets its job; a lecture is ended
as stopped once all that was fed is committed. What counts is in Redis; how long it has been so is noted here.
"""

import time
from collections.abc import Callable
from typing import NamedTuple, cast

import redis
import structlog
from msgspec import json
from rq import Queue

from worker.commit import end_abandoned, has_outcome, remove_from_running
from worker.contract.jobs import job_id
from worker.contract.keys import RUNNING, LectureKeys
from worker.contract.lifetimes import ABANDONED_S, FEEDER_TTL_S
from worker.contract.messages import LectureProgress
from worker.contract.queue import enqueue_chunk, frame_queue

log = structlog.get_logger()


class LectureRepair:
    """Looks after all lectures that run. `clock` gives seconds."""

    def __init__(self, client: redis.Redis, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._queue = frame_queue(client)
        self._clock = clock
        self._unfed_since: dict[str, float] = {}
        self._jobless: set[tuple[str, int]] = set()

    def run(self) -> None:
        """Do what is due. To be called every few seconds; the longer between two calls, the later what it does."""
        lectures = self._running()
        self._find_jobless(lectures)
        self._end_abandoned(lectures)

    def _running(self) -> list["_Lecture"]:
        lectures = []
        for name in sorted(cast(set[bytes], self._client.smembers(RUNNING))):
            try:
                found = self._lecture(name.decode())
            except ValueError as failure:
                log.warning("what is listed as a lecture is none", name=name[:80], error=str(failure))
                self._client.srem(RUNNING, name)
                continue
            if found is not None:
                lectures.append(found)
        self._unfed_since = {
            each.name: self._unfed_since.get(each.name, self._clock()) for each in lectures if not each.fed
        }
        return lectures

    def _lecture(self, name: str) -> "_Lecture | None":
        """None where it does not run; it is then no longer listed. ValueError where what is there is none of ours."""
        keys = LectureKeys(name)
        with self._client.pipeline(transaction=False) as pipe:  # a full Redis refuses transactions, also to read
            pipe.hget(keys.info, "status")
            pipe.exists(keys.feeder)
            pipe.hkeys(keys.in_flight)
            pipe.get(keys.state)
            status, fed, fields, state = pipe.execute()
        if status != b"running" or state is None:
            remove_from_running(self._client, name)
            return None
        next_chunk = json.decode(state, type=LectureProgress).next_chunk
        in_flight = [int(number) for number in fields]
        if stale := [number for number in in_flight if number < next_chunk]:
            # Its producer never heard that it had been counted, and counted it again when it was committed already.
            self._client.hdel(keys.in_flight, *map(str, stale))
        return _Lecture(name, bool(fed), [number for number in in_flight if number >= next_chunk])

    def _find_jobless(self, lectures: list["_Lecture"]) -> None:
        """Ask for chunks that are in flight, have no outcome and no job; the second time, as all of that is moving."""
        at_work = _jobs(self._queue)
        jobless = {
            (lecture.name, number)
            for lecture in lectures
            for number in lecture.in_flight
            if job_id(lecture.name, number) not in at_work
        }
        for name, number in sorted(jobless & self._jobless):
            if not has_outcome(self._client, LectureKeys(name), number):
                log.warning("chunk has no job, asked for again", lecture=name, chunk=number)
                enqueue_chunk(self._queue, name, number)
        self._jobless = jobless - self._jobless

    def _end_abandoned(self, lectures: list["_Lecture"]) -> None:
        for name in [each.name for each in lectures if not each.fed and not each.in_flight]:
            if self._clock() - self._unfed_since[name] >= ABANDONED_S - FEEDER_TTL_S and end_abandoned(
                self._client, name
            ):
                log.warning("lecture ended: nobody feeds it any more", lecture=name)


class _Lecture(NamedTuple):
    """A lecture that runs: whether it is being fed, and the chunks in flight."""

    name: str
    fed: bool
    in_flight: list[int]


def _jobs(queue: Queue) -> set[str]:
    """The ids of all jobs that wait, are being taken, or are at work."""
    with queue.connection.pipeline(transaction=False) as pipe:  # in the order in which jobs pass through them
        pipe.lrange(queue.key, 0, -1)
        pipe.lrange(queue.intermediate_queue_key, 0, -1)
        pipe.zrange(queue.started_job_registry.key, 0, -1)
        waiting, taken, running = pipe.execute()
    names = [each.decode(errors="replace") for each in [*waiting, *taken]]  # a stranger may have put anything there
    return {*names, *(each.decode(errors="replace").rpartition(":")[0] for each in running)}
