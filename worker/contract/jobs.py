"""Jobs by name: the queue, the function, the id of each chunk's job, its time limit and retries. Pure."""

import re

QUEUE = "frames"
JOB = "worker.job.process"
"""The only function that a job may name. Its arguments are a lecture's id and a chunk's number."""

JOB_TIMEOUT_S = 90
"""Seconds that a job may run. A chunk of 16 frames with 49 faces each takes three models about 8 s of one core; ten
times that is a hang."""

MAX_JOB_RETRIES = 2
"""How often a failed job is run again. A job whose worker died is counted apart (`worker.running.leases`)."""

FAILED_JOB_TTL_S = 3600
"""Seconds that RQ keeps a failed job."""

_JOB_ID = re.compile(r"([A-Za-z0-9_-]{1,64})-([0-9]{1,9})")


def job_id(lecture: str, chunk: int) -> str:
    """The id of a chunk's job. Pushing the same chunk twice leaves one job."""
    return f"{lecture}-{chunk}"


def chunk_of_job_id(job: str | bytes) -> tuple[str, int] | None:
    """The lecture and the chunk number in a job's id; None if the id has another form."""
    text = job.decode(errors="replace") if isinstance(job, bytes) else job
    found = _JOB_ID.fullmatch(text)
    return (found[1], int(found[2])) if found else None
