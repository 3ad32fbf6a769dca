"""One worker process: RQ's loop around the job, with models that stay loaded."""

import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
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
from worker.contract.command_line import LogFormat
from worker.contract.connection import ANSWER_TIMEOUT_S, RetryWhileAway, pool
from worker.contract.jobs import JOB_TIMEOUT_S, QUEUE
from worker.contract.standard_streams import STDERR
from worker.job import give_up, load_perception, make_room
from worker.perception.manifest import ChosenModels
from worker.running.admission import ChunkJob, ChunkQueue
from worker.running.leases import LEASE_S, RENEW_EVERY_S, drop_run, renew
from worker.running.log_privacy import LogSettings, configure_logging

log = structlog.get_logger()

# Seconds after which an idle worker checks whether it has to stop.
IDLE_S = 1

# A worker stays registered for this many seconds after its last heartbeat. RQ adds a minute.
WORKER_TTL_S = 20

# Seconds in which a process that has to stop may finish its job. Then it is killed.
DRAIN_S = JOB_TIMEOUT_S + 10.0


class NoLimit(BaseDeathPenalty):
    """Switches RQ's time limit off. `worker.time_limit` has one that does not include waiting for Redis."""

    def setup_death_penalty(self) -> None:
        pass

    def cancel_death_penalty(self) -> None:
        pass


class ChunkWorker(SimpleWorker):
    """RQ's worker that runs jobs in its own process, without a fork per job. So the models are loaded once.

    While Redis is away or full, its connection waits (see `serve`). Supervisors sweep after dead workers
    (`worker.running.sweep`), workers do not. It takes no commands through Redis.
    """

    queue_class = ChunkQueue
    death_penalty_class = NoLimit
    should_run_maintenance_tasks = False

    def __init__(self, *arguments: Any, stopping: threading.Event, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._stopping = stopping
        self._registering = threading.Lock()
        self._unregistered = False

    @property
    def connection_timeout(self) -> int:
        """Seconds without an answer after which RQ, too, considers a connection broken."""
        return math.ceil(ANSWER_TIMEOUT_S)

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        """Seconds that a lease lasts without renewal."""
        return LEASE_S

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """Wait for a job, IDLE_S at a time. Returns None, which ends RQ's loop, if the worker has to stop."""
        while not self._stop_requested:
            with self._ending_if_stopped():
                if found := super().dequeue_job_and_maintain_ttl(IDLE_S, max_idle_time=IDLE_S):
                    return found
        return None

    def execute_job(self, job: Job, queue: Queue) -> None:
        """As in RQ. If the worker has to stop while Redis does not answer, the lease of the job expires."""
        with self._ending_if_stopped():
            super().execute_job(job, queue)

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """As in RQ, which calls this after every lost connection while it waits for a job."""
        with self._ending_if_stopped():
            super().heartbeat(timeout, pipeline)

    @contextmanager
    def _ending_if_stopped(self) -> Iterator[None]:
        try:
            yield
        except redis.RedisError:
            if self._stop_requested:
                raise StopRequested from None
            raise

    def _finalize_success(self, job: Job, queue: Queue, execution: Execution, return_value: Any) -> None:
        if self._has_lease(job, execution):
            super()._finalize_success(job, queue, execution, return_value)

    def _finalize_failure(self, job: Job, queue: Queue, execution: Execution, exc_info: Any) -> None:
        if self._has_lease(job, execution):
            super()._finalize_failure(job, queue, execution, exc_info)

    def _has_lease(self, job: Job, execution: Execution) -> bool:
        """Whether this worker still has the lease. If it stood still for too long, another worker has the job.

        The outcome is stored and published once all the same. But only the other worker may change the job's status.
        """
        if renew(self.connection, execution):
            return True
        self.log.warning("Worker %s: job %s went to another worker meanwhile", self.name, job.id)
        drop_run(job, execution)
        self.executions.pop(execution.id, None)
        return False

    def renew_registration(self, client: redis.Redis) -> None:
        """Keep this worker registered, and renew the lease on its job unless the job has exceeded its time limit."""
        with self._registering:
            if self._unregistered or self.birth_date is None:
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
        """Unregister, if Redis is there. If not, the registration expires."""
        with self._registering:
            self._unregistered = True
        with suppress(redis.RedisError):
            super().teardown()  # type: ignore[no-untyped-call]

    def _shutdown(self) -> None:
        """On SIGTERM: stop after the current job.

        RQ's version raises an exception if no job runs, even between dequeuing a job and beginning it.
        """
        self._stop_requested = True
        self._stopping.set()

    def subscribe(self) -> None:
        """Do not listen for commands in Redis: that needs a connection, and a stranger could send them."""

    def procline(self, message: str) -> None:
        """Do not change the process title: RQ would show values from Redis there."""


def serve(url: str, name: str, models: ChosenModels, ready: c_bool, log_settings: LogSettings) -> None:
    """Work until SIGTERM or the death of the parent process, then finish the current job and end.

    While Redis is away or full, it waits without limit; the supervisor decides when to give up. `ready` is set once all
    models are loaded.
    """
    configure_logging(log_settings)
    _stop_with_parent()
    try:
        with nullcontext() if log_settings.format is LogFormat.CONSOLE else _native_lines_discarded():
            load_perception(models)  # before the first job, whose time limit would include it
        ready.value = True
        _work(url, name)
    except Exception:
        sys.excepthook(*sys.exc_info())  # multiprocessing would print it, but not as JSON
        sys.exit(1)


def _work(url: str, name: str) -> None:
    stopping = threading.Event()
    with pool(url, RetryWhileAway(math.inf, hurried=stopping.is_set)) as second:
        retry = RetryWhileAway(math.inf, hurried=stopping.is_set, when_full=lambda: make_room(second))
        worker = chunk_worker(pool(url, retry), name, stopping=stopping)
        with _heartbeat(worker, url):
            worker.work(logging_level="WARNING")


def chunk_worker(
    client: redis.Redis, name: str, prepare_for_work: bool = True, stopping: threading.Event | None = None
) -> ChunkWorker:
    """RQ's worker `name`. If `prepare_for_work` is false, it stands for a worker of another process.

    `stopping` is set when the worker has to stop.
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
        stopping=stopping or threading.Event(),
    )


@contextmanager
def _native_lines_discarded() -> Iterator[None]:
    """Within, nothing is written to standard error: the model runtime prints a line that is not JSON."""
    kept, nowhere = os.dup(STDERR), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDERR)
    try:
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def _heartbeat(worker: ChunkWorker, url: str) -> Iterator[None]:
    """Within, a thread renews the worker's registration and lease, on a connection that does not wait."""
    over = threading.Event()

    def beat() -> None:
        with pool(url, Retry(NoBackoff(), 0)) as client:
            while not over.wait(RENEW_EVERY_S):
                try:
                    worker.renew_registration(client)
                except Exception as failure:  # the next one may succeed
                    log.warning("heartbeat failed", worker=worker.name, error=str(failure))

    threading.Thread(target=beat, name="heartbeat", daemon=True).start()
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
        time.sleep(DRAIN_S)  # the parent would have killed this process then
        kill(getpid(), SIGKILL)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
