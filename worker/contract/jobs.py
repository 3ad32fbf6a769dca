"""Jobs by name: the queue, the function, the id of each chunk's job, its time limit and retries. Pure."""

import re

from worker.contract.keys import ID

QUEUE = "frames"
JOB = "worker.job.process"
"""The only function that a job may name. Its arguments are a lecture's id and a chunk's number."""

JOB_TIMEOUT_S = 90
"""Seconds that a job may run. For a chunk of 16 frames with 49 faces each, three models take about 8 s of one core;
ten times as long is a hang."""

MAX_JOB_RETRIES = 2
"""How often a failed job is run again. Deaths of workers have a limit of their own (`worker.running.leases`)."""

FAILED_JOB_TTL_S = 3600
"""Seconds that RQ keeps a failed job."""


def job_id(lecture: str, chunk: int) -> str:
    """The id of a chunk's job. Pushing the same chunk twice leaves one job."""
    return f"{lecture}-{chunk}"


def chunk_of_job_id(job: str | bytes) -> tuple[str, int] | None:
    """The lecture and the chunk number in a job's id; None if the id has another form."""
    text = job.decode(errors="replace") if isinstance(job, bytes) else job
    found = re.fullmatch(f"({ID})-([0-9]{{1,9}})", text)
    return (found[1], int(found[2])) if found else None
