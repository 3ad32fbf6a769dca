"""One worker process: RQ's loop around the job, with networks that stay warm."""

import logging
import threading
from multiprocessing import connection, parent_process
from os import getpid, kill
from signal import SIGTERM
from typing import Any

from rq import SimpleWorker
from rq.job import Job
from rq.serializers import JSONSerializer

from worker.contract.server import JOB, QUEUE, connect
from worker.job import give_up, perception

# An idle worker wakes this often to look after jobs whose worker died; RQ subtracts 15 s from the worker's lifetime.
IDLE_S = 5
WORKER_TTL_S = IDLE_S + 15

# A job is given to somebody else this long after its time limit if its worker has not been heard of.
LEASE_MARGIN_S = 3


class ForeignJob(Exception):
    """A job that names something else than this project's one function."""


class ChunkJob(Job):
    """A job that can only be a chunk's: whatever else somebody put into the queue is never imported, let alone run."""

    @property
    def func(self) -> Any:
        if self.func_name != JOB:
            raise ForeignJob(f"job {self.id} names another function than {JOB}")
        return super().func


class ChunkWorker(SimpleWorker):
    """RQ's worker that runs jobs in its own process: no fork a job, so the networks are loaded once."""

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        """Seconds until a job that nothing was heard of counts as abandoned; RQ's own margin is a minute."""
        return int(job.timeout or 0) + LEASE_MARGIN_S

    def procline(self, message: str) -> None:
        """Leave the process title alone: RQ would put what comes from Redis into it."""


def serve(url: str, name: str) -> None:
    """Work until told to stop: SIGTERM finishes the job in hand, and so does the death of the parent process."""
    logging.getLogger("rq").setLevel(logging.WARNING)
    _stop_with_parent()
    perception()  # loaded before the first job, so that no job's time is spent on it
    worker = ChunkWorker(
        [QUEUE],
        name=name,
        connection=connect(url),
        job_class=ChunkJob,
        serializer=JSONSerializer,
        exception_handlers=[give_up],
        worker_ttl=WORKER_TTL_S,
        maintenance_interval=IDLE_S,
    )
    worker.log_result_lifespan = False
    worker.work(logging_level="WARNING")


def _stop_with_parent() -> None:
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        kill(getpid(), SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
