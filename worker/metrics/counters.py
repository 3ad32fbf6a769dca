"""Counters and histograms of a worker process, for Prometheus. All other names on `/metrics` are in `redis_collector`.

Label values come from closed lists; none of them ever names a lecture or a participant.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.context_managers import Timer

PREFIX = "lecturepulse"

STEPS = ("fetch", "decode", "faces", "emotions", "appearance", "write", "commit")
"""The steps of a job, in their order."""

FAILURES = ("bad_picture", "error", "expired", "picture_too_large", "timeout", "worker_died")
"""Why a chunk, or one of its frames, may fail: the words of the ledger."""

REFUSALS = ("unreadable", "function", "arguments", "unknown_lecture", "not_in_flight", "foreign_state")
"""Why a job may be discarded before it runs, or have no effect."""

OTHER = "other"
"""Replaces any other reason: a stranger may have written any text to Redis."""

FRAMES_PUBLISHED = Counter("frames_published", "Frames whose result was committed.", namespace=PREFIX)
FRAMES_FAILED = Counter("frames_failed", "Frames committed as failed.", ["reason"], namespace=PREFIX)
FACES = Counter("faces", "Faces found and read.", namespace=PREFIX)
ESCALATIONS = Counter(
    "escalations", "Faces that further networks read because the first one was not certain.", namespace=PREFIX
)
INFERENCE_SECONDS = Histogram(
    "inference_seconds",
    "Time of one network for one chunk's faces.",
    ["model"],
    namespace=PREFIX,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
STEP_SECONDS = Histogram(
    "step_seconds",
    "Time of one step of a job: fetch, decode, faces, emotions, appearance, write, commit.",
    ["step"],
    namespace=PREFIX,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
JOB_SECONDS = Histogram(
    "job_seconds",
    "Time of one job, from its fetch to its commit.",
    namespace=PREFIX,
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 90),
)
LATENCY_SECONDS = Histogram(
    "latency_seconds",
    "From taking the oldest frame of a chunk, by the producer's clock, to its commit.",
    namespace=PREFIX,
    buckets=(0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 30, 60, 300),
)
COMMIT_CONFLICTS = Counter(
    "commit_conflicts", "Commits tried again because another worker was faster.", namespace=PREFIX
)
JOB_RETRIES = Counter("job_retries", "Jobs put back into the queue to run again.", ["reason"], namespace=PREFIX)
JOBS_REFUSED = Counter("jobs_refused", "Strangers' jobs, discarded before they ran.", ["reason"], namespace=PREFIX)
WORKER_RESTARTS = Counter("worker_restarts", "Worker processes that died and were replaced.", namespace=PREFIX)
WORKER_PROCESSES = Gauge(
    "worker_processes", "Worker processes that run.", namespace=PREFIX, multiprocess_mode="livesum"
)


def timed(step: str) -> Timer:
    """A context manager, or a decorator, that times one of STEPS."""
    return STEP_SECONDS.labels(step).time()


def count_observed(faces: int, escalated: int, step_s: Mapping[Any, float], inference_s: Mapping[str, float]) -> None:
    """Count what perception reports of one chunk; times are in seconds, by step and by network."""
    FACES.inc(faces)
    ESCALATIONS.inc(escalated)
    for step, seconds in step_s.items():
        STEP_SECONDS.labels(step).observe(seconds)
    for model, seconds in inference_s.items():
        INFERENCE_SECONDS.labels(model).observe(seconds)


def count_committed(published: int, failed: Mapping[str, int], taken: Iterable[float | None]) -> None:
    """Count one commit: frames published, frames failed by reason, and when chunks were taken (seconds since 1970)."""
    FRAMES_PUBLISHED.inc(published)
    for reason, frames in failed.items():
        FRAMES_FAILED.labels(_known(reason)).inc(frames)
    for moment in taken:
        if moment is not None:
            LATENCY_SECONDS.observe(max(0.0, time.time() - moment))


def count_retry(reason: str) -> None:
    """Count a job that failed for this reason and is put back into the queue."""
    JOB_RETRIES.labels(_known(reason)).inc()


def count_refused(reason: str) -> None:
    """Count a job that was discarded, or had no effect, for one of REFUSALS."""
    JOBS_REFUSED.labels(reason).inc()


def _known(reason: str) -> str:
    return reason if reason in FAILURES else OTHER


# Every label value exists from the start, at zero: Prometheus sees no rise if a series begins with its first count.
for _step in STEPS:
    STEP_SECONDS.labels(_step)
for _reason in (*FAILURES, OTHER):
    FRAMES_FAILED.labels(_reason)
    JOB_RETRIES.labels(_reason)
for _reason in REFUSALS:
    JOBS_REFUSED.labels(_reason)
