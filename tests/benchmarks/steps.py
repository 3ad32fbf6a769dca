"""The time of each step of a worker, in milliseconds per frame and per face, with a real Redis.

The worker runs in this process with a stopwatch around each step. The time of a step excludes the steps that it calls.
"processor" is processor time, "clock" includes waiting for Redis.

    python -m tests.benchmarks.steps [--repeats 5] [--seconds 64] [--people 25] [--images KDEF]
"""

import os
import signal
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, NamedTuple
from unittest.mock import patch

import redis
from prometheus_client import REGISTRY

import worker.job
import worker.perception.appearance
import worker.perception.emotions
import worker.perception.faces
import worker.perception.perception
import worker.perception.scales
import worker.running.process
from tests.benchmarks.ruler import Lecture, Result, Terms, forget, lecture, main, on_cores, two_cores
from tests.conftest import running_redis
from tests.lectures import feed_lecture
from worker.contract.connection import connect
from worker.running.process import chunk_worker

# The first is the whole of a job; what is left of it and of the time between two jobs is RQ.
JOB = "RQ, between and around jobs"
STEPS: tuple[tuple[str, Any, str], ...] = (
    (JOB, worker.running.process.ChunkWorker, "execute_job"),
    ("job, the rest", worker.job, "process"),
    ("fetch", worker.job, "_fetch"),
    ("JPEG", worker.perception.perception, "_decoded"),
    ("faces: thumbnails, merging", worker.perception.perception.Perception, "_detect"),
    ("faces: windows", worker.perception.faces.FaceDetector, "_search"),
    ("faces: halved copies of the picture", worker.perception.scales.Scales, "copy"),
    ("faces: checks", worker.perception.faces.FaceDetector, "_checked"),
    ("crops", worker.perception.perception, "face_crop"),
    ("scaling to the networks' sizes", worker.perception.emotions, "_scaled"),
    ("ensemble, the rest", worker.perception.emotions.Ensemble, "predict"),
    ("readability of faces", worker.perception.perception, "unreadable_because"),
    ("slides", worker.perception.perception, "slide_descriptor"),
    ("appearance of faces", worker.perception.perception, "descriptor"),
    ("observations", worker.perception.perception.Perception, "observe"),
    ("writing the outcome", worker.job, "_store"),
    ("commit", worker.job, "commit"),
)


class Spent(NamedTuple):
    """Seconds on the processor and by the clock."""

    processor: float
    clock: float


def _faces_read() -> float:
    return REGISTRY.get_sample_value("lecturepulse_faces_total") or 0.0


def benchmark(terms: Terms) -> Result:
    core, other = two_cores()
    os.sched_setaffinity(0, {other})
    with lecture(terms) as film, running_redis() as (url, _), connect(url) as client, on_cores([core]):
        worker.job.load_perception()
        _run(client, film, "warm-up")
        runs = [_run(client, film, f"run{n}") for n in range(terms.repeats)]
        faces = _faces_read() / (terms.repeats + 1)
    steps = {
        step: Spent(*(statistics.median(getattr(run[step], kind) for run in runs) for kind in Spent._fields))
        for step in runs[0]
    }
    total = Spent(*(sum(getattr(spent, kind) for spent in steps.values()) for kind in Spent._fields))
    frames = len(film.frames)
    rows = [
        (
            step,
            *(f"{1000 * seconds / n:.3f}" for seconds in spent for n in (frames, faces)),
            f"{spent.clock / total.clock:.1%}",
        )
        for step, spent in [*sorted(steps.items(), key=lambda item: -item[1].clock), ("all", total)]
    ]
    networks = sum(spent.clock for step, spent in steps.items() if step.startswith("network"))
    return Result(
        ("step", "processor: ms/frame", "ms/face", "clock: ms/frame", "ms/face", "share"),
        rows,
        f"{frames} frames, {faces:.0f} faces; the ensemble's networks take {networks / total.clock:.0%} of the time",
        {
            "frames": frames,
            "faces": faces,
            "steps": {step: spent._asdict() for step, spent in steps.items()},
            "repeats": [{step: spent._asdict() for step, spent in run.items()} for run in runs],
        },
    )


def _run(client: redis.Redis, film: Lecture, name: str) -> dict[str, Spent]:
    """Process the lecture in this process; returns the seconds of each step."""
    keys = feed_lecture(client, name, film.chunks())
    ended = threading.Thread(target=_stop_at_end, args=(client, keys.info))
    with _stopwatches() as stopwatch:
        ended.start()
        chunk_worker(client, name).work(logging_level="WARNING")
    ended.join()
    forget(client, keys)
    return stopwatch.spent


def _stop_at_end(client: redis.Redis, info: str) -> None:
    while client.hget(info, "status") == b"running":
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)  # the worker finishes its job and stops


class Stopwatch:
    """Adds up the time of each step, without the steps inside it."""

    def __init__(self) -> None:
        self.spent: dict[str, Spent] = defaultdict(lambda: Spent(0.0, 0.0))
        self._inside: list[Spent] = []
        self._last_job: Spent | None = None

    def around(self, step: str | None, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, timed as `step`, or None for a network, whose name is then the step."""

        @wraps(function)
        def timed(*given: Any, **named: Any) -> Any:
            begun = _now()
            if step == JOB and self._last_job is not None:
                self._add(JOB, _less(begun, self._last_job))
            self._inside.append(Spent(0.0, 0.0))
            try:
                return function(*given, **named)
            finally:
                now = _now()
                whole, inside = _less(now, begun), self._inside.pop()
                self._add(step or f"network {given[0].name}", _less(whole, inside))
                if self._inside:
                    self._inside[-1] = Spent(*(a + b for a, b in zip(self._inside[-1], whole, strict=True)))
                else:
                    self._last_job = now

        return timed

    def _add(self, step: str, more: Spent) -> None:
        self.spent[step] = Spent(*(a + b for a, b in zip(self.spent[step], more, strict=True)))


@contextmanager
def _stopwatches() -> Iterator[Stopwatch]:
    stopwatch = Stopwatch()
    with ExitStack() as patches:
        for step, owner, name in STEPS:
            patches.enter_context(patch.object(owner, name, stopwatch.around(step, getattr(owner, name))))
        networks = worker.job.perception()._ensemble._models.values()
        for network in {type(network) for network in networks}:
            patches.enter_context(patch.object(network, "logits", stopwatch.around(None, network.logits)))
        yield stopwatch


def _now() -> Spent:
    return Spent(time.thread_time(), time.perf_counter())


def _less(a: Spent, b: Spent) -> Spent:
    return Spent(a.processor - b.processor, a.clock - b.clock)


if __name__ == "__main__":
    main(benchmark)
