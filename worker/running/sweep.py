"""The sweep: every second or so, what is not as it should be is put right. One in every supervisor; any number may."""

import time
from typing import cast

import redis
from rq.job import Job
from rq.registry import FailedJobRegistry
from rq.worker_registration import clean_worker_registry

from worker.contract.queue import frame_queue
from worker.running.leases import take_back_expired, take_back_from
from worker.running.lecture_repair import LectureRepair
from worker.running.process import chunk_worker

# How often a supervisor sweeps, which with a lease is how long a lost machine's job waits; and how often it looks at
# all lectures and lists, where nothing is urgent.
SWEEP_EVERY_S = 1.0
LOOK_AFTER_EVERY_S = 10.0

# A job is for a moment neither in the queue nor with a worker. If it is for so long, its worker died in that moment, or
# the answer that brought it was lost. A job that runs twice is harmless.
STRANDED_S = 3.0


class Sweep:
    """What one supervisor sees to in Redis. Errors of Redis come through; the next sweep does what this one did not."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._queue = frame_queue(client)
        self._repair = LectureRepair(client)
        self._stranded: dict[bytes, float] = {}  # job -> since when it may be
        self._look_after_at = time.monotonic()

    def run(self) -> None:
        """Put back what nobody works on any more, and now and then look after everything else."""
        take_back_expired(self._queue)
        self._rescue_stranded()
        if time.monotonic() >= self._look_after_at:
            self._look_after_at = time.monotonic() + LOOK_AFTER_EVERY_S
            self._repair.run()
            FailedJobRegistry(queue=self._queue).cleanup()
            clean_worker_registry(self._queue)

    def bury(self, worker: str) -> None:
        """Strike a worker process off that died, and put its job back without waiting for the lease to end."""
        take_back_from(self._queue, worker)
        chunk_worker(self._client, worker, prepare_for_work=False).register_death()  # type: ignore[no-untyped-call]

    def _rescue_stranded(self) -> None:
        key = self._queue.intermediate_queue_key
        taken = set(cast(list[bytes], self._client.lrange(key, 0, -1)))
        self._stranded = {job: self._stranded.get(job, time.monotonic()) for job in taken}
        for job, since in self._stranded.items():
            if time.monotonic() - since > STRANDED_S:
                # A job that is gone was done by somebody else. What is in no form that a job's id has is a stranger's.
                there = self._client.exists(Job.key_for(job.decode(errors="replace")))
                with self._client.pipeline() as pipe:
                    pipe.lrem(key, 1, job)  # type: ignore[arg-type]
                    if there:
                        pipe.lpush(self._queue.key, job)
                    pipe.execute()
