"""The supervisor: keeps a number of worker processes running, and takes them down in good order."""

import multiprocessing
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess
from socket import gethostname
from typing import cast
from uuid import uuid4

import redis
import structlog
from rq.executions import WORKER_EXECUTIONS_KEY_TEMPLATE
from rq.registry import StartedJobRegistry

from worker.admission import ChunkJob
from worker.contract.server import JOB_TIMEOUT_S, frame_queue
from worker.job import give_up
from worker.manifest import EnsembleMode
from worker.process import chunk_worker, serve

log = structlog.get_logger()

# A process that dies this soon after its start, this many times in a row, will die again: give up.
EARLY_DEATH_S = 20.0
EARLY_DEATHS = 5
RESTART_PAUSE_S = 1.0

# A job is for a moment neither in the queue nor with a worker; if its worker dies just then, this long is no moment.
STRANDED_S = 3.0

# Told to stop, a process finishes the job in hand; one that takes longer than a job may is killed.
DRAIN_S = JOB_TIMEOUT_S + 10.0


class KeepsDying(Exception):
    """Worker processes die as soon as they start."""


class Supervisor:
    """Runs `count` worker processes with that ensemble on the Redis at `url` until `stop` is set."""

    def __init__(self, client: redis.Redis, url: str, count: int, mode: EnsembleMode) -> None:
        self._client = client
        self._url = url
        self._count = count
        self._mode = mode
        self._spawn = multiprocessing.get_context("spawn")  # nothing of this process' threads or locks comes along
        self._running: dict[str, tuple[SpawnProcess, float]] = {}
        self._early_deaths = 0
        self._stranded: dict[str, float] = {}  # job -> since when it may be

    def run(self, stop: threading.Event) -> None:
        """Keep the processes running until `stop`, then let them finish; KeepsDying where they cannot start."""
        try:
            for _ in range(self._count):
                self._start()
            while not stop.wait(timeout=0.2):
                for name, (process, started) in list(self._running.items()):
                    if not process.is_alive():
                        self._bury(name, process, time.monotonic() - started)
                        stop.wait(RESTART_PAUSE_S)
                        if not stop.is_set():
                            self._start()
                with self._without_redis("stranded jobs are put back later"):
                    self._rescue_stranded()
        finally:
            self._drain()

    def _start(self) -> None:
        name = f"{gethostname()}-{uuid4().hex[:8]}"
        process = self._spawn.Process(target=serve, args=(self._url, name, self._mode), name=name)
        process.start()
        self._running[name] = process, time.monotonic()
        log.info("worker started", worker=name, pid=process.pid)

    def _bury(self, name: str, process: SpawnProcess, lived: float) -> None:
        del self._running[name]
        log.warning("worker died, starting another", worker=name, exit_code=process.exitcode, lived_s=round(lived))
        self._early_deaths = self._early_deaths + 1 if lived < EARLY_DEATH_S else 0
        if self._early_deaths >= EARLY_DEATHS:
            raise KeepsDying(f"{EARLY_DEATHS} worker processes died within {EARLY_DEATH_S:.0f} s of their start")
        with self._without_redis("the dead worker's job comes back when its lease is over"):
            self._hand_back(name)

    @contextmanager
    def _without_redis(self, consequence: str) -> Iterator[None]:
        """Go on where Redis cannot be reached: what is done here only makes things faster."""
        try:
            yield
        except redis.RedisError as failure:
            log.warning(consequence, error=str(failure))

    def _hand_back(self, name: str) -> None:
        """Let the dead process' lease on its job end now, instead of when RQ would notice, and strike it off."""
        registry = StartedJobRegistry(queue=frame_queue(self._client), job_class=ChunkJob)
        held = cast(set[bytes], self._client.smembers(WORKER_EXECUTIONS_KEY_TEMPLATE.format(name)))
        for execution in held:
            self._client.zadd(registry.key, {execution.decode(): 0}, xx=True)
        if held:
            registry.cleanup(exception_handlers=[give_up])
        chunk_worker(self._client, name, prepare_for_work=False).register_death()  # type: ignore[no-untyped-call]
        now = time.monotonic()
        self._stranded |= dict.fromkeys(frame_queue(self._client).intermediate_queue.get_job_ids(), now)

    def _rescue_stranded(self) -> None:
        """Put back what a dead process had taken from the queue and not begun. A job that runs twice is harmless."""
        due = {job for job, since in self._stranded.items() if time.monotonic() - since > STRANDED_S}
        if not due:
            return
        queue = frame_queue(self._client)
        for job in due.intersection(queue.intermediate_queue.get_job_ids()):
            queue.push_job_id(job, at_front=True)
            queue.intermediate_queue.remove(job)
        self._stranded = {job: since for job, since in self._stranded.items() if job not in due}

    def _drain(self) -> None:
        for process, _ in self._running.values():
            process.terminate()
        until = time.monotonic() + DRAIN_S
        for name, (process, _) in self._running.items():
            process.join(timeout=max(0.0, until - time.monotonic()))
            if process.exitcode is None:
                log.warning("worker did not finish its job in time, killed", worker=name)
                process.kill()
                process.join()
        self._running.clear()


def stop_on_signals(stop: threading.Event) -> None:
    """Set `stop` on SIGTERM and SIGINT. A terminal's Ctrl-C reaches the workers too; they finish by themselves."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
