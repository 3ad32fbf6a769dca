"""The supervisor: keeps a number of worker processes running, and lets them finish their jobs at the end."""

import multiprocessing
import signal
import threading
import time
from ctypes import c_bool
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnProcess
from queue import Empty, SimpleQueue
from socket import gethostname
from typing import NamedTuple, cast
from uuid import uuid4

import redis
import structlog

from worker.metrics.counters import WORKER_PROCESSES, WORKER_RESTARTS
from worker.metrics.workers_collector import merge_dead
from worker.perception.manifest import ChosenModels
from worker.running.log_privacy import LogSettings
from worker.running.process import DRAIN_S, serve
from worker.running.sweep import SWEEP_EVERY_S, Sweep

log = structlog.get_logger()

# If this many processes in a row die before they are ready, the next will die too: give up.
MAX_EARLY_DEATHS = 5
RESTART_PAUSE_S = 1.0


class KeepsDying(Exception):
    """Worker processes die as soon as they start."""


class RedisGone(Exception):
    """Redis was away for longer than OUTAGE_S."""


class WorkerProcess(NamedTuple):
    """A worker process, its start by the monotonic clock, and whether its models are loaded."""

    process: SpawnProcess
    started: float
    ready: c_bool


class Supervisor:
    """Runs `count` worker processes with `models` on the Redis at `url`.

    `client` is for the sweep. Its retries determine how long Redis may be away.
    """

    def __init__(
        self, client: redis.Redis, url: str, count: int, models: ChosenModels, log_settings: LogSettings
    ) -> None:
        self._client = client
        self._url = url
        self._count = count
        self._models = models
        self._log_settings = log_settings
        self._spawn = multiprocessing.get_context("spawn")  # a fork would copy this process' locks
        self._running: dict[str, WorkerProcess] = {}
        self._early_deaths = 0
        self._dead: SimpleQueue[str] = SimpleQueue()
        self._gone: redis.RedisError | None = None

    @property
    def processes(self) -> int:
        """The number of worker processes that run."""
        return len(self._running)

    def run(self, stop: threading.Event) -> None:
        """Keep the processes running until `stop`, then let them finish.

        Raises KeepsDying if they cannot start, and RedisGone if the client's retries are over.
        """
        # In a thread, because the sweep waits while Redis is away, and dead processes must be replaced then too.
        sweeping = threading.Thread(target=self._sweep, args=(stop,), name="sweep", daemon=True)
        sweeping.start()
        try:
            for _ in range(self._count):
                self._start()
            while not stop.wait(timeout=0.2):
                WORKER_PROCESSES.set(self.processes)  # again and again, in case the files of metrics were removed
                if self._gone is not None:
                    raise RedisGone(str(self._gone))
                for name, worker in list(self._running.items()):
                    if not worker.process.is_alive():
                        self._remove_dead(name, worker)
                if self.processes < self._count and not stop.wait(RESTART_PAUSE_S):
                    self._start()
        finally:
            self._drain()

    def _start(self) -> None:
        name = worker_name()
        ready = multiprocessing.RawValue(c_bool, False)
        process = self._spawn.Process(
            target=serve, args=(self._url, name, self._models, ready, self._log_settings), name=name
        )
        # Only this process handles Ctrl-C; at its end it lets the workers finish. They inherit the blocked signal.
        resource_tracker.ensure_running()  # it starts with the first process, and would unblock the signal
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            process.start()
        except OSError as failure:  # no memory, or too many processes
            log.warning("cannot start a worker, trying again", error=str(failure))
            return
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        self._running[name] = WorkerProcess(process, time.monotonic(), ready)
        WORKER_PROCESSES.set(self.processes)
        log.info("worker started", worker=name, pid=process.pid)

    def _remove_dead(self, name: str, worker: WorkerProcess) -> None:
        del self._running[name]
        WORKER_PROCESSES.set(self.processes)
        WORKER_RESTARTS.inc()
        merge_dead(cast(int, worker.process.pid))
        exit_code, lived = worker.process.exitcode, time.monotonic() - worker.started
        log.warning("worker died, starting another", worker=name, exit_code=exit_code, lived_s=round(lived))
        self._dead.put(name)
        if worker.ready.value:
            self._early_deaths = 0
        elif exit_code != -signal.SIGKILL:  # sent from outside, so the next process may live
            self._early_deaths += 1
        if self._early_deaths >= MAX_EARLY_DEATHS:
            raise KeepsDying(f"{MAX_EARLY_DEATHS} worker processes in a row died before they were ready")

    def _sweep(self, stop: threading.Event) -> None:
        sweep = Sweep(self._client)
        while not stop.is_set():
            try:
                name = self._dead.get(timeout=SWEEP_EVERY_S)
            except Empty:
                name = None
            try:
                if name is not None:
                    sweep.requeue_from(name)
                sweep.run()
            except (redis.ConnectionError, redis.TimeoutError) as failure:
                self._gone = failure
                return
            except Exception as failure:
                log.warning("sweep failed, trying again", error=str(failure), kind=type(failure).__name__)

    def _drain(self) -> None:
        for worker in self._running.values():
            worker.process.terminate()
        until = time.monotonic() + DRAIN_S
        for name, (process, *_) in self._running.items():
            process.join(timeout=max(0.0, until - time.monotonic()))
            if process.exitcode is None:
                log.warning("worker did not finish its job in time, killed", worker=name)
                process.kill()
                process.join()
        self._running.clear()


def worker_name() -> str:
    """A name for a new process. It never looks like a job's id (a dash and digits), which logs leave out."""
    return f"{gethostname()}-w{uuid4().hex[:8]}"


def stop_on_signals(stop: threading.Event) -> None:
    """Set `stop` on SIGTERM and SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
