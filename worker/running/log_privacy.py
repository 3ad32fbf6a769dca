"""Keeps lecture ids out of workers' logs, because `producer forget` cannot erase them there.

A lecture's id often is a file name, and a job's id contains the lecture's id. Only the chunk's number is logged.
"""

import logging
from collections.abc import MutableMapping
from typing import Any

import structlog

from worker.contract.jobs import chunk_of_job_id
from worker.contract.standard_streams import log_stream


def configure_logging() -> None:
    """Set up this process' log, also for RQ and other libraries (warnings and errors only)."""
    structlog.configure(
        processors=[_event_without_ids, *structlog.get_config()["processors"]],
        logger_factory=structlog.PrintLoggerFactory(log_stream()),
    )
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.addFilter(_remove_ids_from_record)
    handler.setFormatter(logging.Formatter("%(asctime)s [%(levelname)s] %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def _event_without_ids(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event.pop("lecture", None)
    return {name: _without_job_ids(value, [value]) for name, value in event.items()}


def _remove_ids_from_record(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(_without_job_ids(value, record.args) for value in record.args)
    return True


def _without_job_ids(value: Any, beside: Any) -> Any:
    """`value` with every job id that is among the values `beside` it replaced by the chunk's number."""
    if not isinstance(value, str):
        return value
    for each in beside:
        if isinstance(each, str) and (chunk := chunk_of_job_id(each)):
            value = value.replace(each, f"chunk {chunk[1]}")
    return value
