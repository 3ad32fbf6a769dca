"""The metrics of real workers: one port for all processes, whoever of them dies."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest
import redis
from msgspec import structs
from prometheus_client.openmetrics import parser as openmetrics

from tests.gallery import gallery_pages
from tests.lectures import await_end, begin_lecture, chunks_of, push_chunk
from tests.processes import eventually, workers
from tests.scraping import Scrape, check_with_promtool, counted, get, listening_hosts, scrape, serves
from tests.streams import free_port
from worker.cli import METRICS_PORT
from worker.contract.environment import EMBEDDED, METRICS_FOLDER
from worker.contract.jobs import MAX_JOB_RETRIES
from worker.contract.keys import RUNNING, LectureKeys
from worker.contract.messages import Chunk
from worker.contract.queue import enqueue_chunk, frame_queue
from worker.metrics import redis_collector
from worker.metrics.counters import STEPS
from worker.metrics.exposition import PortRefused, exposed
from worker.running.process import chunk_worker

PAGES = list(gallery_pages(4, 12, fps=2, size=(640, 360)))


@pytest.fixture(autouse=True)
def nothing_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("REDIS_URL", raising=False)


def lecture(client: redis.Redis, name: str, chunks: list[Chunk]) -> LectureKeys:
    """A lecture, begun and all of it in Redis; workers are not yet asked for any of it."""
    keys = begin_lecture(client, name)
    client.sadd(RUNNING, name)
    for number, chunk in enumerate(chunks):
        push_chunk(client, keys, number, Chunk(structs.replace(chunk.head, taken=1e9), chunk.jpegs))
    return keys


def worker_pids(client: redis.Redis) -> set[int]:
    return {int(pid) for key in client.smembers("rq:workers") if (pid := client.hget(key, "pid"))}


@contextmanager
def scraped_all_the_time(port: int) -> Iterator[None]:
    """Within, several scrape without pause; at its end, none of them has seen a count go down."""
    over = threading.Event()

    def go_on() -> list[Scrape]:
        found = [scrape(port)]
        while not over.wait(0.1):
            found.append(scrape(port))
        return found

    with ThreadPoolExecutor(2) as pool:
        scraping = [pool.submit(go_on) for _ in range(2)]
        try:
            yield
        finally:
            over.set()
    for each in scraping:
        for earlier, later in pairwise(each.result()):
            assert all(later.counts.get(series, -1.0) >= value for series, value in only_ours(earlier).items())


def told(scraped: Scrape) -> float:
    """How many frames of the lecture are done with."""
    done = (scraped.value(f"lecture_frames_{how}_total", lecture="l") for how in ("published", "failed"))
    return sum(frames or 0.0 for frames in done)


def only_ours(scraped: Scrape) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What processes count; not what is counted of a lecture, which goes with it."""
    return {series: value for series, value in scraped.counts.items() if "_lecture_" not in series[0]}


def test_the_counts_of_all_processes_are_those_of_the_ledger_and_never_go_down_whoever_dies(
    client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    chunks = chunks_of(PAGES, 3)
    chunks[1].jpegs[0] = b"not a picture"
    keys = lecture(client, "l", chunks)
    port = free_port()
    with workers(redis_url, 2, "--metrics-port", str(port)):
        eventually(lambda: len(worker_pids(client)) == 2)
        with scraped_all_the_time(port):
            for number in range(len(chunks) - 1):
                enqueue_chunk(frame_queue(client), "l", number)
            eventually(lambda: told(scrape(port)) == 12)
            eventually(lambda: (scrape(port).value("job_seconds_count") or 0) >= len(chunks) - 1)
            before = scrape(port)
            os.kill(worker_pids(client).pop(), signal.SIGKILL)
            eventually(lambda: scrape(port).value("worker_restarts_total") == 1)
            enqueue_chunk(frame_queue(client), "l", len(chunks) - 1)
            await_end(client, keys)
            eventually(lambda: scrape(port).value("worker_processes") == 2)
            eventually(lambda: scrape(port).by("lecture", "lecture_participants") == {})
        after = scrape(port)
        folders = [path for path in tmp_path.iterdir() if path.name.startswith("lecturepulse-metrics-")]
        assert len(folders) == 1
        assert folders[0].stat().st_mode & 0o077 == 0
        assert len(list(folders[0].glob("*_dead.db"))) == 2
    assert not folders[0].exists()

    ledger = {name: int(client.hget(keys.info, name) or 0) for name in ("sampled", "published", "failed")}
    assert ledger["sampled"] == ledger["published"] + ledger["failed"] == 12
    assert after.value("frames_published_total") == ledger["published"]
    failed = after.by("reason", "frames_failed_total")
    assert (sum(failed.values()), failed["bad_picture"]) == (ledger["failed"], ledger["failed"])
    assert before.value("lecture_frames_published_total", lecture="l") == ledger["published"]
    assert before.value("lecture_participants", lecture="l") == 4
    assert client.smembers(RUNNING) == set()

    assert (after.value("faces_total") or 0) >= 4 * ledger["published"]
    assert all((before.value("step_seconds_count", step=step) or 0) >= 3 for step in STEPS)
    assert {"mobilenetv2", "inceptionv3", "resnet50v2"} == set(before.by("model", "inference_seconds_count"))
    assert (after.value("job_seconds_count") or 0) >= len(chunks)
    assert after.value("latency_seconds_count") == len(chunks) - 1 - (ledger["failed"] == 3)
    for each in (before, after):
        check_with_promtool(each.text)
        assert "p01" not in each.text


def test_only_what_is_meant_to_be_is_served_and_only_where(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(METRICS_FOLDER, str(tmp_path))
    port = free_port()
    with exposed("127.0.0.1", port, redis_url, lambda: 1):
        assert listening_hosts(port) == {"0100007F"}
        assert get(port, "/healthz") == (200, "ok\n")
        assert get(port, "/metrics?x=1")[0] == 200
        status, text = get(port, "/metrics", accept="application/openmetrics-text; version=1.0.0")
        assert status == 200
        assert "lecturepulse_redis_up" in {family.name for family in openmetrics.text_string_to_metric_families(text)}
        assert [get(port, path)[0] for path in ("/", "/metrics/", "/favicon.ico", "/../etc/passwd")] == [404] * 4
        assert [get(port, "/metrics", method)[0] for method in ("POST", "PUT", "DELETE", "HEAD")] == [501] * 4
        with socket.create_connection(("127.0.0.1", port)):  # who says nothing is in nobody's way
            assert serves(port)
    assert listening_hosts(port) == set()


def test_who_has_no_process_or_has_long_had_no_redis_is_not_well_but_still_tells_metrics(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(METRICS_FOLDER, str(tmp_path))
    monkeypatch.setattr(redis_collector, "OUTAGE_S", 0.1)
    processes, port = [1], free_port()
    with exposed("127.0.0.1", port, redis_url, lambda: len(processes)):
        assert get(port, "/healthz") == (200, "ok\n")
        processes.clear()
        assert get(port, "/healthz") == (503, "no worker process runs\n")
    with exposed("127.0.0.1", port, f"redis://me:SECRET@127.0.0.1:{free_port()}", lambda: 1):
        eventually(lambda: get(port, "/healthz") == (503, "Redis does not answer\n"))
        assert scrape(port).value("redis_up") == 0


def test_a_job_that_is_tried_again_counts_as_such_until_its_frames_are_given_up(client: redis.Redis) -> None:
    retries, failed = (counted(name, reason="expired") for name in ("job_retries", "frames_failed"))
    keys = lecture(client, "l", chunks_of(PAGES[:3], 3)[:1])
    client.delete(keys.chunk(0))
    enqueue_chunk(frame_queue(client), "l", 0)
    chunk_worker(client, "w").work(max_jobs=1 + MAX_JOB_RETRIES)
    assert counted("job_retries", reason="expired") == retries + MAX_JOB_RETRIES
    assert counted("frames_failed", reason="expired") == failed + 3


@pytest.mark.parametrize("host", ["no.such.host.invalid", "", "a..b", "192.0.2.1"])
def test_an_address_that_cannot_be_listened_at_is_refused(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str
) -> None:
    monkeypatch.setenv(METRICS_FOLDER, str(tmp_path))
    with pytest.raises(PortRefused, match="cannot serve metrics at ") as refusal, exposed(host, 9108, redis_url, int):
        pass
    assert not refusal.value.taken


def test_a_port_that_was_asked_for_and_is_taken_is_one_line_and_exit_code_2(redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "worker", "run", "--redis", redis_url, "--metrics-port", str(port)]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2
    assert refused.stderr == (
        f"worker: cannot serve metrics at 127.0.0.1:{port}: Address already in use; "
        "choose another --metrics-port or host\n"
    )


def test_when_the_usual_port_is_taken_workers_work_without(redis_url: str) -> None:
    with ExitStack() as stack:
        with suppress(OSError):  # it may be taken already
            stack.enter_context(socket.create_server(("127.0.0.1", METRICS_PORT)))
        said = until_started(stack.enter_context(workers(redis_url, 1)))
    assert "no metrics" in said
    assert f"127.0.0.1:{METRICS_PORT}: Address already in use" in said


def test_workers_that_somebody_has_for_itself_alone_serve_nothing(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(EMBEDDED, "1")
    port = free_port()
    with workers(redis_url, 1, "--metrics-port", str(port)) as supervisor:
        assert "metrics" not in until_started(supervisor)
        assert listening_hosts(port) == set()
        assert list(tmp_path.glob("lecturepulse-metrics-*")) == []


def until_started(supervisor: subprocess.Popen[str]) -> str:
    """What it says until it has started a process."""
    said = ""
    assert supervisor.stdout is not None
    while "worker started" not in said:
        line = supervisor.stdout.readline()
        assert line, said
        said += line
    return said
