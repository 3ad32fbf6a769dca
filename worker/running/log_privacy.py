"""What workers write to their log: nothing that tells a lecture, because `forget` does not reach into logs.

A lecture's id is mostly made of a file's name, and a job's id of the lecture's. What is left of both is the chunk's
number.
"""

import logging
from collections.abc import MutableMapping
from typing import Any

import structlog

from worker.contract.jobs import chunk_of_job_id


def configure_logging() -> None:
    """Set up this process' log so. What RQ and other libraries say goes the same way, warnings and errors only."""
    structlog.configure(processors=[_discreet_event, *structlog.get_config()["processors"]])
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.addFilter(_discreet_record)
    handler.setFormatter(logging.Formatter("%(asctime)s [%(levelname)s] %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def _discreet_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event.pop("lecture", None)
    return {name: _without_jobs(value, [value]) for name, value in event.items()}


def _discreet_record(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(_without_jobs(value, record.args) for value in record.args)
    return True


def _without_jobs(value: Any, beside: Any) -> Any:
    """`value`, with the ids of jobs that are said `beside` it, or that it is, replaced by their chunk's number."""
    if not isinstance(value, str):
        return value
    for each in beside:
        if isinstance(each, str) and (chunk := chunk_of_job_id(each)):
            value = value.replace(each, f"chunk {chunk[1]}")
    return value
