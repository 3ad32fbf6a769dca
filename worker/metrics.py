"""What a worker counts and times, for Prometheus. Every name that `/metrics` of a worker shows is here or in `census`.

Labels take values out of closed lists; none of these ever names a lecture or a participant.
"""

import time
from collections.abc import Iterable, Mapping

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.context_managers import Timer

PREFIX = "lecturepulse"

STEPS = ("fetch", "decode", "faces", "emotions", "looks", "write", "commit")
"""The steps of a job, in their order."""

FAILURES = ("bad_picture", "error", "expired", "picture_too_large", "timeout", "worker_died")
"""Why a chunk, or a frame of it, may fail: the words that the ledger has for it."""

REFUSALS = ("unreadable", "function", "arguments", "unknown_lecture", "not_in_flight", "foreign_state")
"""Why a job may be thrown away unrun, or come to nothing."""

OTHER = "other"
"""What stands for any other reason: what lies in Redis may be a stranger's, and may say anything."""

FRAMES_PUBLISHED = Counter("frames_published", "Frames whose result was committed.", namespace=PREFIX)
FRAMES_FAILED = Counter("frames_failed", "Frames committed as failed.", ["reason"], namespace=PREFIX)
FACES = Counter("faces", "Faces found and read.", namespace=PREFIX)
ESCALATIONS = Counter(
    "escalations", "Faces that all networks read because the first one was not sure.", namespace=PREFIX
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
    "Time of one step of a job: fetch, decode, faces, emotions, looks, write, commit.",
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
JOB_RETRIES = Counter("job_retries", "Jobs that were put back to be tried again.", ["reason"], namespace=PREFIX)
JOBS_REFUSED = Counter("jobs_refused", "Strangers' jobs that were thrown away unrun.", ["reason"], namespace=PREFIX)
WORKER_RESTARTS = Counter("worker_restarts", "Worker processes that died and were replaced.", namespace=PREFIX)
WORKER_PROCESSES = Gauge(
    "worker_processes", "Worker processes that run.", namespace=PREFIX, multiprocess_mode="livesum"
)


def timed(step: str) -> Timer:
    """A context manager, or a decorator, that times one of STEPS."""
    return STEP_SECONDS.labels(step).time()


def count_committed(published: int, failed: Mapping[str, int], taken: Iterable[float | None]) -> None:
    """Count what was committed just now: frames published, frames failed by reason, and when chunks were taken."""
    FRAMES_PUBLISHED.inc(published)
    for reason, frames in failed.items():
        FRAMES_FAILED.labels(_known(reason)).inc(frames)
    for moment in taken:
        if moment is not None:
            LATENCY_SECONDS.observe(max(0.0, time.time() - moment))


def count_retry(reason: str) -> None:
    """Count a job that came to nothing for that reason and is put back."""
    JOB_RETRIES.labels(_known(reason)).inc()


def _known(reason: str) -> str:
    return reason if reason in FAILURES else OTHER


# All of them are there from the beginning, at zero: what appears with its first count never seems to have risen.
for _step in STEPS:
    STEP_SECONDS.labels(_step)
for _reason in (*FAILURES, OTHER):
    FRAMES_FAILED.labels(_reason)
    JOB_RETRIES.labels(_reason)
for _reason in REFUSALS:
    JOBS_REFUSED.labels(_reason)
