"""The sweep: requeues the jobs of dead workers and repairs lectures. Every supervisor runs one, about every second."""

import time
from typing import cast

import redis
from rq.job import Job
from rq.registry import FailedJobRegistry
from rq.worker_registration import clean_worker_registry

from worker.contract.queue import frame_queue
from worker.running.leases import requeue_expired, requeue_jobs_of
from worker.running.lecture_repair import LectureRepair
from worker.running.process import chunk_worker

# Seconds between two sweeps. The job of a lost machine waits for one lease and one sweep.
SWEEP_EVERY_S = 1.0

# Seconds between two repairs of lectures and of RQ's registries, which are not urgent.
REPAIR_EVERY_S = 10.0

# A job is in RQ's intermediate list for a moment while a worker dequeues it. If it stays this long, the worker died or
# lost the answer, and the job is requeued. A job that runs twice is harmless.
STRANDED_S = 3.0


class Sweep:
    """The sweep of one supervisor. It raises Redis' errors; the next sweep repeats the work."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._queue = frame_queue(client)
        self._repair = LectureRepair(client)
        self._stranded: dict[bytes, float] = {}  # job -> time when it was first seen
        self._repair_at = time.monotonic()

    def run(self) -> None:
        """Requeue lost jobs, and from time to time repair the rest."""
        requeue_expired(self._queue)
        self._requeue_stranded()
        if time.monotonic() >= self._repair_at:
            self._repair_at = time.monotonic() + REPAIR_EVERY_S
            self._repair.run()
            FailedJobRegistry(queue=self._queue).cleanup()
            clean_worker_registry(self._queue)

    def requeue_from(self, worker: str) -> None:
        """Requeue the job of a dead worker process at once, and unregister the process."""
        requeue_jobs_of(self._queue, worker)
        chunk_worker(self._client, worker, prepare_for_work=False).register_death()  # type: ignore[no-untyped-call]

    def _requeue_stranded(self) -> None:
        key = self._queue.intermediate_queue_key
        dequeued = set(cast(list[bytes], self._client.lrange(key, 0, -1)))
        self._stranded = {job: self._stranded.get(job, time.monotonic()) for job in dequeued}
        for job, since in self._stranded.items():
            if time.monotonic() - since > STRANDED_S:
                # A job that is gone was done by another worker, or a stranger added the id.
                exists = self._client.exists(Job.key_for(job.decode(errors="replace")))
                with self._client.pipeline() as pipe:
                    pipe.lrem(key, 1, job)  # type: ignore[arg-type]
                    if exists:
                        pipe.lpush(self._queue.key, job)
                    pipe.execute()
