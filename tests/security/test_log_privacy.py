"""A worker's log says what went wrong, but not in which lecture."""

import json
import subprocess
import sys
from uuid import UUID

import pytest
import redis

from tests.gallery import gallery_pages
from tests.lectures import await_end, chunks_of, feed_lecture
from tests.processes import eventually, worker_pids, workers
from worker.contract.command_line import LogFormat
from worker.contract.jobs import chunk_of_job_id
from worker.running.supervisor import worker_name

NAME = "Geheimnis-7"


def test_a_lecture_whose_job_failed_is_not_named_in_the_log(client: redis.Redis, redis_url: str) -> None:
    chunks = chunks_of(list(gallery_pages(1, 2, size=(320, 240))), 1)
    keys = feed_lecture(client, NAME, chunks)
    client.hset(keys.chunk(0), "head", "no head")
    with workers(redis_url, 1, "--log-format", "json") as running:
        await_end(client, keys)
        running.terminate()
        assert running.stdout is not None
        said = running.stdout.read()
    assert "chunk 0" in said
    assert "ValidationError" in said or "DecodeError" in said
    assert NAME not in said
    lines = [json.loads(line) for line in said.splitlines()]
    assert "worker started" in {each["event"] for each in lines}
    assert {"error", "warning"} & {each["level"] for each in lines}, "also those of the worker's processes"


def test_a_json_log_also_has_uncaught_exceptions_and_warnings_as_one_line_each() -> None:
    code = """
import ctypes, threading, warnings
from worker.running import process
from worker.contract.command_line import LogFormat
from worker.perception.manifest import ChosenModels
from worker.running.log_privacy import LogSettings
def failing(): raise ValueError("redis://user:s3cret@host/0 is away")
def work(*_):
    warnings.warn("old")
    thread = threading.Thread(target=failing); thread.start(); thread.join()
    failing()
process.load_perception = lambda _: None
process._work = work
process.serve("redis://127.0.0.1:1", "w", ChosenModels(None, None), ctypes.c_bool(), LogSettings(LogFormat.JSON))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    warning, *failures = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert (warning["event"], warning["level"]) == ("old", "warning")
    for failure in failures:
        assert failure["event"] == "ValueError: redis://host/0 is away"
        assert "in failing" in failure["exception"]
    assert len(failures) == 2
    assert "s3cret" not in done.stderr


def test_a_log_leaves_out_less_important_lines(client: redis.Redis, redis_url: str) -> None:
    with workers(redis_url, 1, "--log-level", "warning") as running:
        eventually(lambda: worker_pids(client))
        running.terminate()
        assert running.stdout is not None
        assert "worker started" not in running.stdout.read()


@pytest.mark.parametrize("form", [LogFormat.CONSOLE, LogFormat.JSON])
def test_ids_of_lectures_and_jobs_are_removed_from_every_log_line(form: LogFormat) -> None:
    code = """
import logging, structlog
from worker.contract.command_line import LogFormat
from worker.running.log_privacy import LogSettings, configure_logging
configure_logging(LogSettings(FORM))
structlog.get_logger().warning("job failed", lecture="Geheimnis-7", job="Geheimnis-7-12", deaths=3)
logging.getLogger("rq.worker").error("job %s of %s: %s", "Geheimnis-7-12", "me", "Error: Geheimnis-7-12 is bad")
logging.getLogger("rq.worker").info("not a word")
quoted = "Command # 4 (HSET rq:job:Geheimnis-7-0 a b) of pipeline caused error: command not allowed"
structlog.get_logger().warning("sweep failed", error=quoted)
try:
    raise ValueError(quoted)
except ValueError as failure:
    logging.getLogger("rq.worker").error("unhandled: %s", failure, exc_info=True)
""".replace("FORM)", f"{form})")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = done.stdout + done.stderr
    assert "Geheimnis" not in said
    assert "chunk 12" in done.stdout
    assert done.stderr.count("command not allowed") >= 2, "also in the traceback"
    if form is LogFormat.JSON:
        ours, theirs = (json.loads(stream.splitlines()[0]) for stream in (done.stdout, done.stderr))
        assert (ours["deaths"], ours["level"], theirs["level"]) == (3, "warning", "error")
        assert theirs["event"] == "job chunk 12 of me: Error: chunk 12 is bad"
    else:
        assert "deaths=3" in done.stdout
        assert "job chunk 12 of me: Error: chunk 12 is bad" in done.stderr
    assert "not a word" not in said


def test_the_name_of_a_worker_never_looks_like_the_id_of_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.running.supervisor.uuid4", lambda: UUID("12345678-1234-4234-8234-123456789012"))
    assert chunk_of_job_id(worker_name()) is None
