"""Counters and histograms of a worker process. The other metrics on `/metrics` are in `redis_collector`.

Label values come from closed lists and never name a lecture or a participant.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.context_managers import Timer

from worker.contract.messages import UNREADABLE
from worker.contract.reasons import FAILURES, FailureReason
from worker.metrics.files import count_in_files
from worker.outcome import FrameObservation

count_in_files()

PREFIX = "lecturepulse"

STEPS = ("fetch", "decode", "faces", "readability", "emotions", "appearance", "slides", "write", "commit")
"""The steps of a job, in order."""

RefusalReason = Literal["unreadable", "function", "arguments", "unknown_lecture", "not_in_flight", "foreign_state"]
"""Why a job is discarded. All but `foreign_state` are found before it runs; such a job ran and changed nothing.

A job that is `not_in_flight` may be one of ours that was in the queue twice.
"""

FRAMES_PUBLISHED = Counter("frames_published", "Frames whose result was committed.", namespace=PREFIX)
FRAMES_DAMAGED = Counter("frames_damaged", "Committed frames with a damaged picture.", namespace=PREFIX)
FRAMES_FAILED = Counter("frames_failed", "Frames committed as failed.", ["reason"], namespace=PREFIX)
FACES = Counter("faces", "Faces detected.", namespace=PREFIX)
FACES_UNREADABLE = Counter(
    "faces_unreadable", "Faces without predictions, because they cannot be read.", ["reason"], namespace=PREFIX
)
ESCALATIONS = Counter(
    "escalations", "Faces about which the adaptive ensemble asked more than its first model.", namespace=PREFIX
)
INFERENCE_SECONDS = Histogram(
    "inference_seconds",
    "Time of one model for the faces of one chunk.",
    ["model"],
    namespace=PREFIX,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
STEP_SECONDS = Histogram(
    "step_seconds",
    f"Time of one step of a job: {', '.join(STEPS)}.",
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
JOBS_REFUSED = Counter(
    "jobs_refused", "Jobs discarded because a stranger wrote them or their lecture.", ["reason"], namespace=PREFIX
)
WORKER_RESTARTS = Counter("worker_restarts", "Worker processes that died and were replaced.", namespace=PREFIX)
WORKER_PROCESSES = Gauge(
    "worker_processes", "Worker processes that run.", namespace=PREFIX, multiprocess_mode="livesum"
)


def timed(step: str) -> Timer:
    """A context manager, or a decorator, that times one of STEPS."""
    return STEP_SECONDS.labels(step).time()


def count_observed(
    frames: Iterable[FrameObservation], escalated: int, step_s: Mapping[Any, float], inference_s: Mapping[str, float]
) -> None:
    """Count what perception returned for one chunk; times are in seconds."""
    faces = [face for frame in frames for face in frame.faces]
    FACES.inc(len(faces))
    for face in faces:
        if face.unreadable is not None:
            FACES_UNREADABLE.labels(face.unreadable).inc()
    ESCALATIONS.inc(escalated)
    for step, seconds in step_s.items():
        STEP_SECONDS.labels(step).observe(seconds)
    for model, seconds in inference_s.items():
        INFERENCE_SECONDS.labels(model).observe(seconds)


def count_committed(
    published: int, damaged: int, failed: Mapping[FailureReason, int], taken: Iterable[float | None]
) -> None:
    """Count one commit: published frames, the damaged ones of them, failed frames by reason, and the latency of each
    chunk.

    `taken` has the `ChunkHead.taken` of each chunk.
    """
    FRAMES_PUBLISHED.inc(published)
    FRAMES_DAMAGED.inc(damaged)
    for reason, frames in failed.items():
        FRAMES_FAILED.labels(reason).inc(frames)
    for taken_at in taken:
        if taken_at is not None:
            LATENCY_SECONDS.observe(max(0.0, time.time() - taken_at))


# Every label value is created here, at zero. Prometheus cannot see the first count of a series that did not exist.
for _step in STEPS:
    STEP_SECONDS.labels(_step)
for _reason in FAILURES:
    FRAMES_FAILED.labels(_reason)
    JOB_RETRIES.labels(_reason)
for _refusal in get_args(RefusalReason):
    JOBS_REFUSED.labels(_refusal)
for _unreadable in UNREADABLE:
    FACES_UNREADABLE.labels(_unreadable)
