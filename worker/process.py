"""One worker process: RQ's loop around the job, with networks that stay warm."""

import threading
from contextlib import suppress
from multiprocessing import connection, parent_process
from os import getpid, kill
from signal import SIGTERM

import redis
from redis.client import Pipeline
from rq import Queue, SimpleWorker
from rq.exceptions import StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer

from worker.admission import ChunkJob, ChunkQueue
from worker.contract.server import QUEUE, connect
from worker.discretion import speak_discreetly
from worker.job import give_up, load_perception
from worker.manifest import EnsembleMode

# How often an idle worker looks whether it was told to stop, and how often after jobs whose worker died.
IDLE_S = 1
MAINTENANCE_S = 5

# How long after its last sign of life a worker is still listed; RQ adds a minute.
WORKER_TTL_S = 20

# A job is given to somebody else this long after its time limit if its worker has not been heard of.
LEASE_MARGIN_S = 3


class ChunkWorker(SimpleWorker):
    """RQ's worker that runs jobs in its own process: no fork a job, so the networks are loaded once."""

    queue_class = ChunkQueue
    max_connection_wait_time = 2.0  # seconds between two tries to reach a Redis that is gone

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        """Seconds until a job that nothing was heard of counts as abandoned; RQ's own margin is a minute."""
        return int(job.timeout or 0) + LEASE_MARGIN_S

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """Wait for a job in short spells. None, which ends the work loop, once the worker was told to stop."""
        while not self._stop_requested:
            if found := super().dequeue_job_and_maintain_ttl(IDLE_S, max_idle_time=IDLE_S):
                return found
        return None

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """RQ's, with which it also begins every wait for a job: where Redis is gone, the place to stop at."""
        try:
            super().heartbeat(timeout, pipeline)
        except redis.ConnectionError:
            if self._stop_requested:
                raise StopRequested from None
            raise

    def teardown(self) -> None:
        """Sign off, where there is anybody to sign off from; what is left of this worker expires."""
        with suppress(redis.ConnectionError):
            super().teardown()  # type: ignore[no-untyped-call]

    def _shutdown(self) -> None:
        """On SIGTERM: stop when the job in hand is done.

        RQ's own would raise out of whatever runs unless a job does, also between taking a job and beginning it.
        """
        self._stop_requested = True

    def subscribe(self) -> None:
        """Take no orders over a channel: RQ would end whatever somebody tells it to end."""

    def clean_group_registries(self) -> None:
        """There are no groups of jobs, and what a stranger calls one is not read."""

    def procline(self, message: str) -> None:
        """Leave the process title alone: RQ would put what comes from Redis into it."""


def serve(url: str, name: str, mode: EnsembleMode) -> None:
    """Work until told to stop: SIGTERM finishes the job in hand, and so does the death of the parent process."""
    speak_discreetly()
    _stop_with_parent()
    load_perception(mode)  # before the first job, so that no job's time is spent on it
    chunk_worker(connect(url), name).work(logging_level="WARNING")


def chunk_worker(client: redis.Redis, name: str, prepare_for_work: bool = True) -> ChunkWorker:
    """RQ's worker `name`; with `prepare_for_work` false, a stand-in for one that runs in another process."""
    return ChunkWorker(
        [QUEUE],
        name=name,
        connection=client,
        job_class=ChunkJob,
        serializer=JSONSerializer,
        exception_handlers=[give_up],
        worker_ttl=WORKER_TTL_S,
        maintenance_interval=MAINTENANCE_S,
        prepare_for_work=prepare_for_work,
    )


def _stop_with_parent() -> None:
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        kill(getpid(), SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
