"""What a worker counts and times, for Prometheus. Every name that `/metrics` of a worker shows is here.

Labels take values out of closed lists; none of these ever names a lecture or a participant.
"""

from prometheus_client import Counter, Gauge, Histogram

PREFIX = "lecturepulse"

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
WORKER_PROCESSES = Gauge("worker_processes", "Worker processes that run.", namespace=PREFIX)
