"""The log of a worker. It keeps lecture ids out of it, because `producer forget` cannot erase them there.

A lecture's id often is a file name, and a job's id contains the lecture's id. Only the chunk's number is logged.
"""

import logging
import re
from collections.abc import MutableMapping
from typing import Any, NamedTuple

import structlog

from worker.contract.command_line import LogFormat, LogLevel, print_json_lines
from worker.contract.jobs import chunk_of_job_id
from worker.contract.standard_streams import log_stream


class LogSettings(NamedTuple):
    """The form of a log, and the least important lines in it."""

    format: LogFormat = LogFormat.CONSOLE
    level: LogLevel = LogLevel.INFO


def configure_logging(settings: LogSettings) -> None:
    """Set up this process' log, also for RQ and other libraries (warnings and errors only)."""
    least = logging.getLevelName(settings.level.upper())
    rendered = structlog.get_config()["processors"]
    formatter = logging.Formatter("%(asctime)s [%(levelname)s] %(message)s")
    if settings.format is LogFormat.JSON:
        print_json_lines("worker")
        rendered, formatter = [*_JSON, structlog.processors.JSONRenderer()], _json_formatter()
    structlog.configure(
        processors=[_event_without_ids, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.PrintLoggerFactory(log_stream()),
    )
    handler = logging.StreamHandler()
    handler.setLevel(max(least, logging.WARNING))
    handler.addFilter(_remove_ids_from_record)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


# What redis-py writes before the error of a command in a pipeline: the command, with keys and so with ids.
_QUOTED = re.compile(r"Command # \d+ \(.*?\) of pipeline caused error: ", re.DOTALL)


def _exception_without_commands(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if "exception" in event:
        event["exception"] = _QUOTED.sub("", event["exception"])
    return event


_JSON: list[Any] = [
    structlog.processors.add_log_level,
    structlog.processors.format_exc_info,
    _exception_without_commands,
    structlog.processors.TimeStamper(fmt="iso"),
]
"""What a JSON log has besides the fields of an event."""


def _json_formatter() -> logging.Formatter:
    """The form of the lines of libraries."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_JSON,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
    )


def _event_without_ids(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event.pop("lecture", None)
    return {name: _without_job_ids(value, [value]) for name, value in event.items()}


def _remove_ids_from_record(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(_without_job_ids(value, record.args) for value in record.args)
    if record.exc_info:
        record.exc_text = _QUOTED.sub("", logging.Formatter().formatException(record.exc_info))
    return True


def _without_job_ids(value: Any, beside: Any) -> Any:
    """`value` without quoted commands, and with every job id among the values `beside` it replaced by its chunk."""
    if isinstance(value, Exception):
        value = str(value)
    if not isinstance(value, str):
        return value
    value = _QUOTED.sub("", value)
    for each in beside:
        if isinstance(each, str) and (chunk := chunk_of_job_id(each)):
            value = value.replace(each, f"chunk {chunk[1]}")
    return value
