"""One worker process: RQ's loop around the job, with networks that stay warm."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ctypes import c_bool
from multiprocessing import connection, parent_process
from os import getpid, kill
from signal import SIGKILL, SIGTERM
from typing import Any

import redis
import structlog
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry
from rq import Queue, SimpleWorker, worker_registration
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import BaseDeathPenalty

from worker import time_limit
from worker.contract.connection import ANSWER_TIMEOUT_S, Patience, pool
from worker.contract.jobs import JOB_TIMEOUT_S, QUEUE
from worker.job import give_up, load_perception, make_room
from worker.perception.manifest import EnsembleMode
from worker.running.admission import ChunkJob, ChunkQueue
from worker.running.leases import LEASE_S, RENEW_EVERY_S, renew, withdraw
from worker.running.log_privacy import configure_logging

log = structlog.get_logger()

# How often an idle worker looks whether it was told to stop.
IDLE_S = 1

# How long after its last sign of life a worker is still listed; RQ adds a minute.
WORKER_TTL_S = 20

# Told to stop, a process finishes the job in hand; one that takes longer than a job may is killed.
DRAIN_S = JOB_TIMEOUT_S + 10.0


class NoLimit(BaseDeathPenalty):
    """RQ's time limit, which is not needed: `worker.time_limit` has one that leaves waiting for Redis out."""

    def setup_death_penalty(self) -> None:
        pass

    def cancel_death_penalty(self) -> None:
        pass


class ChunkWorker(SimpleWorker):
    """RQ's worker that runs jobs in its own process: no fork a job, so the networks are loaded once.

    While Redis is away or full, its connection waits (see `serve`). What is left of dead workers is swept up by
    supervisors (`worker.running.sweep`), not by workers, and nobody commands it through Redis.
    """

    queue_class = ChunkQueue
    death_penalty_class = NoLimit
    should_run_maintenance_tasks = False

    def __init__(self, *arguments: Any, told_to_stop: threading.Event, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._told_to_stop = told_to_stop
        self._signing = threading.Lock()
        self._signed_off = False

    @property
    def connection_timeout(self) -> int:
        """Seconds without an answer after which RQ, too, takes a connection for broken."""
        return math.ceil(ANSWER_TIMEOUT_S)

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        """Seconds until a job of which nothing is heard is somebody else's."""
        return LEASE_S

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """Wait for a job in short spells. None, which ends the work loop, once the worker was told to stop."""
        while not self._stop_requested:
            with self._leaving_if_told():
                if found := super().dequeue_job_and_maintain_ttl(IDLE_S, max_idle_time=IDLE_S):
                    return found
        return None

    def execute_job(self, job: Job, queue: Queue) -> None:
        """RQ's. If Redis does not take what came of it before the worker has to leave, its lease runs out."""
        with self._leaving_if_told():
            super().execute_job(job, queue)

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """RQ's, which catches every lost connection in its wait for a job, and begins anew with this."""
        with self._leaving_if_told():
            super().heartbeat(timeout, pipeline)

    @contextmanager
    def _leaving_if_told(self) -> Iterator[None]:
        try:
            yield
        except redis.RedisError:
            if self._stop_requested:
                raise StopRequested from None
            raise

    def _finalize_success(self, job: Job, queue: Queue, execution: Execution, return_value: Any) -> None:
        if self._still_has(job, execution):
            super()._finalize_success(job, queue, execution, return_value)

    def _finalize_failure(self, job: Job, queue: Queue, execution: Execution, exc_info: Any) -> None:
        if self._still_has(job, execution):
            super()._finalize_failure(job, queue, execution, exc_info)

    def _still_has(self, job: Job, execution: Execution) -> bool:
        """Whether the job is still this worker's. Not if it stood still so long that it was given to another: what was
        seen is written down and told once all the same, but how the job stands is now the other's to say."""
        if renew(self.connection, execution):
            return True
        self.log.warning("Worker %s: job %s went to another worker meanwhile", self.name, job.id)
        withdraw(job, execution)
        self.executions.pop(execution.id, None)
        return False

    def show_life(self, client: redis.Redis) -> None:
        """Keep this worker listed, and the lease on the job in hand, unless that takes longer than it may."""
        with self._signing:
            if self._signed_off or self.birth_date is None:
                return
            with client.pipeline(transaction=False) as pipe:
                pipe.hset(self.key, mapping=self.serialize())
                pipe.expire(self.key, WORKER_TTL_S + 60)
                worker_registration.register(self, pipe)
                pipe.execute(raise_on_error=False)
        if not time_limit.exceeded():
            for execution in list(self.executions.values()):
                renew(client, execution)

    def teardown(self) -> None:
        """Sign off, where there is anybody to sign off from; what is left of this worker expires."""
        with self._signing:
            self._signed_off = True
        with suppress(redis.RedisError):
            super().teardown()  # type: ignore[no-untyped-call]

    def _shutdown(self) -> None:
        """On SIGTERM: stop when the job in hand is done.

        RQ's own would raise out of whatever runs unless a job does, also between taking a job and beginning it.
        """
        self._stop_requested = True
        self._told_to_stop.set()

    def subscribe(self) -> None:
        """Nobody commands workers through Redis: that takes a connection, and anybody could."""

    def clean_group_registries(self) -> None:
        """There are no groups of jobs, and what a stranger calls one is not read."""

    def procline(self, message: str) -> None:
        """Leave the process title alone: RQ would put what comes from Redis into it."""


def serve(url: str, name: str, mode: EnsembleMode, ready: c_bool) -> None:
    """Work until told to stop: SIGTERM finishes the job in hand, and so does the death of the parent process.

    However long Redis is away or full: when to give up is for the supervisor to say. `ready` is set once there is
    nothing left that may be missing.
    """
    configure_logging()
    _stop_with_parent()
    load_perception(mode)  # before the first job, so that no job's time is spent on it
    ready.value = True
    stop = threading.Event()
    with pool(url, Patience(math.inf, hurried=stop.is_set)) as aside:
        patience = Patience(math.inf, hurried=stop.is_set, when_full=lambda: make_room(aside))
        worker = chunk_worker(pool(url, patience), name, told_to_stop=stop)
        with _showing_life(worker, url):
            worker.work(logging_level="WARNING")


def chunk_worker(
    client: redis.Redis, name: str, prepare_for_work: bool = True, told_to_stop: threading.Event | None = None
) -> ChunkWorker:
    """RQ's worker `name`; with `prepare_for_work` false, a stand-in for one that runs in another process.

    `told_to_stop` is set when it is.
    """
    return ChunkWorker(
        [QUEUE],
        name=name,
        connection=client,
        job_class=ChunkJob,
        serializer=JSONSerializer,
        exception_handlers=[give_up],
        worker_ttl=WORKER_TTL_S,
        prepare_for_work=prepare_for_work,
        told_to_stop=told_to_stop or threading.Event(),
    )


@contextmanager
def _showing_life(worker: ChunkWorker, url: str) -> Iterator[None]:
    """Within, a thread shows that the worker lives, on a connection that does not wait for anything."""
    over = threading.Event()

    def show() -> None:
        with pool(url, Retry(NoBackoff(), 0)) as client:
            while not over.wait(RENEW_EVERY_S):
                try:
                    worker.show_life(client)
                except Exception as failure:  # the next sign of life may get through
                    log.warning("could not show that this worker lives", worker=worker.name, error=str(failure))

    threading.Thread(target=show, name="signs-of-life", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _stop_with_parent() -> None:
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        kill(getpid(), SIGTERM)
        time.sleep(DRAIN_S)  # with nobody left who would do it
        kill(getpid(), SIGKILL)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
