"""The metrics of real workers: one port for all processes, whatever happens to them."""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import redis
from msgspec import structs
from prometheus_client.openmetrics import parser as openmetrics

from tests.faults.altered import environment
from tests.gallery import gallery_pages
from tests.lectures import await_end, begin_lecture, chunks_of, push_chunk
from tests.processes import eventually, suspended, worker_pids, workers
from tests.scraping import Scrape, check_with_promtool, get, listening_hosts, scrape, serves
from tests.streams import free_port
from worker.contract.environment import EMBEDDED, METRICS_FOLDER
from worker.contract.keys import RUNNING, LectureKeys
from worker.contract.messages import Chunk
from worker.contract.queue import enqueue_chunk, frame_queue
from worker.metrics import redis_collector
from worker.metrics.counters import STEPS
from worker.metrics.exposition import MAX_CONNECTIONS, PortRefused, exposed

PAGES = list(gallery_pages(4, 12, fps=2, size=(640, 360)))


@pytest.fixture(autouse=True)
def temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))


IMPORT_HOOK = f"""
import os, sys
from importlib.abc import MetaPathFinder

class Finder(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in ("worker.metrics", "prometheus_client"):
            with open(os.environ["IMPORTS"], "a") as file:
                print(os.getpid(), name, {METRICS_FOLDER!r} in os.environ, file=file)

sys.meta_path.insert(0, Finder())
"""


def importing_env(folder: Path) -> dict[str, str]:
    """An environment in which every import of the metrics is written to `folder`/imports."""
    (folder / "sitecustomize.py").write_text(IMPORT_HOOK)
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "IMPORTS": str(folder / "imports")}


def feed(client: redis.Redis, keys: LectureKeys, number: int, chunk: Chunk) -> None:
    """Push a chunk and enqueue its job. (Workers would give a job to a chunk that has waited for long without one.)"""
    push_chunk(client, keys, number, Chunk(structs.replace(chunk.head, taken=1e9), chunk.jpegs))
    enqueue_chunk(frame_queue(client), keys.lecture, number)


@contextmanager
def scraped_all_the_time(port: int) -> Iterator[None]:
    """Within, two threads scrape without pause; at the end, no count has gone down for either."""
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
            assert all(later.counts.get(series, -1.0) >= value for series, value in process_counts(earlier).items())


def process_counts(scraped: Scrape) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The counts of processes; not those of a lecture, which are gone after its end."""
    return {series: value for series, value in scraped.counts.items() if "_lecture_" not in series[0]}


def committed_frames(scraped: Scrape) -> float:
    counts = (scraped.value(f"lecture_frames_{end}_total", lecture="l") for end in ("published", "failed"))
    return sum(frames or 0.0 for frames in counts)


def test_the_counts_of_all_processes_agree_with_the_ledger_and_never_go_down_when_one_dies(
    client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    *chunks, ending = chunks_of(PAGES, 3)
    chunks[1].jpegs[0] = b"not a picture"
    client.sadd(RUNNING, "l")
    keys, port = begin_lecture(client, "l"), free_port()
    seen: list[Scrape] = []

    def scraped_with_all_jobs() -> bool:
        seen.append(scrape(port))
        return committed_frames(seen[-1]) == 12 and (seen[-1].value("job_seconds_count") or 0) >= len(chunks)

    def scraped_after_the_end() -> bool:
        seen.append(scrape(port))
        jobs, processes = seen[-1].value("job_seconds_count") or 0, seen[-1].value("worker_processes")
        is_over = seen[-1].value("redis_up") == 1 and seen[-1].by("lecture", "lecture_participants") == {}
        return is_over and processes == 2 and jobs >= len(chunks) + 1

    options = ("--metrics-port", str(port), "--ensemble", "full")
    with workers(redis_url, 2, *options, env=importing_env(tmp_path)) as supervisor:
        eventually(lambda: len(worker_pids(client)) == 2)
        pids = {supervisor.pid, *worker_pids(client)}
        with scraped_all_the_time(port):
            for number, chunk in enumerate(chunks):
                feed(client, keys, number, chunk)
            eventually(scraped_with_all_jobs)
            before = seen[-1]
            os.kill(worker_pids(client).pop(), signal.SIGKILL)
            eventually(lambda: scrape(port).value("worker_restarts_total") == 1)
            feed(client, keys, len(chunks), ending)
            await_end(client, keys)
            eventually(scraped_after_the_end)
            after = seen[-1]
        folders = [path for path in tmp_path.iterdir() if path.name.startswith("lecturepulse-metrics-")]
        assert len(folders) == 1
        assert folders[0].stat().st_mode & 0o077 == 0
        assert len(list(folders[0].glob("*_dead.db"))) == 2
    assert not folders[0].exists()

    ledger = {name: int(client.hget(keys.info, name) or 0) for name in ("sampled", "published", "failed")}
    assert ledger == {"sampled": 12, "published": 11, "failed": 1}
    assert after.value("frames_published_total") == 11
    failed = after.by("reason", "frames_failed_total")
    assert (sum(failed.values()), failed["bad_picture"]) == (1, 1)
    assert before.value("lecture_frames_published_total", lecture="l") == 11
    assert before.value("lecture_participants", lecture="l") == 4
    assert client.smembers(RUNNING) == set()

    assert (after.value("faces_total") or 0) >= 4 * 11
    assert all((before.value("step_seconds_count", step=step) or 0) >= 3 for step in STEPS)
    assert {"mobilenetv2", "inceptionv3", "resnet50v2"} == set(before.by("model", "inference_seconds_count"))
    assert after.value("latency_seconds_count") == len(chunks)
    for each in (before, after):
        check_with_promtool(each.text)
        assert "p01" not in each.text

    imports = [line.split() for line in (tmp_path / "imports").read_text().splitlines()]
    assert {(int(pid), name) for pid, name, _ in imports} >= {
        (pid, name) for pid in pids for name in ("worker.metrics", "prometheus_client")
    }
    assert {is_set for _, _, is_set in imports} == {"True"}, "the folder of the metrics is set before"


def test_only_metrics_and_health_are_served_and_only_at_the_given_address(
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
        with socket.create_connection(("127.0.0.1", port)):  # a silent client blocks no other
            assert serves(port)
        with ExitStack() as crowd:  # nor do many: those beyond the limit are closed
            silent = [crowd.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(100)]
            closed = [each for each in silent if select.select([each], [], [], 1)[0]]
            assert len(closed) >= len(silent) - MAX_CONNECTIONS
        eventually(lambda: serves(port))
    assert listening_hosts(port) == set()


def test_without_processes_or_redis_health_is_503_and_metrics_are_still_served(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(METRICS_FOLDER, str(tmp_path))
    processes, port = [1], free_port()
    with exposed("127.0.0.1", port, redis_url, lambda: len(processes)):
        assert get(port, "/healthz") == (200, "ok\n")
        processes.clear()
        assert get(port, "/healthz") == (503, "no worker process runs\n")
    monkeypatch.setattr(redis_collector, "REDIS_AWAY_S", 0.1)
    with exposed("127.0.0.1", port, f"redis://me:SECRET@127.0.0.1:{free_port()}", lambda: 1):
        eventually(lambda: get(port, "/healthz") == (503, "Redis does not answer\n"))
        assert scrape(port).value("redis_up") == 0


@pytest.mark.parametrize("host", ["no.such.host.invalid", "", "a..b", "192.0.2.1"])
def test_an_address_at_which_nothing_can_listen_is_refused(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str
) -> None:
    monkeypatch.setenv(METRICS_FOLDER, str(tmp_path))
    with pytest.raises(PortRefused, match="cannot serve metrics at ") as refusal, exposed(host, 9108, redis_url, int):
        pass
    assert not refusal.value.taken


def test_a_given_port_that_is_taken_is_one_line_and_exit_code_2(redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "worker", "run", "--redis", redis_url, "--metrics-port", str(port)]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    line = f"cannot serve metrics at 127.0.0.1:{port}: Address already in use; choose another --metrics-port or host"
    assert (refused.stderr, refused.returncode) == (f"worker: {line}\n", 2)


def test_if_the_default_port_is_taken_workers_run_without_metrics(redis_url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        altered = environment(tmp_path, set={"worker.cli.METRICS_PORT": port})  # other tests may hold the real one
        with workers(redis_url, 1, module="tests.faults.altered", env=altered) as supervisor:
            output = until_started(supervisor)
    assert "no metrics" in output
    assert f"127.0.0.1:{port}: Address already in use" in output


def test_embedded_workers_serve_no_metrics(redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(EMBEDDED, "1")
    port = free_port()
    with workers(redis_url, 1, "--metrics-port", str(port)) as supervisor:
        assert "metrics" not in until_started(supervisor)
        assert listening_hosts(port) == set()
        assert list(tmp_path.glob("lecturepulse-metrics-*")) == []


def until_started(supervisor: subprocess.Popen[str]) -> str:
    """The output up to the line about the first process."""
    output = ""
    assert supervisor.stdout is not None
    while "worker started" not in output:
        line = supervisor.stdout.readline()
        assert line, output
        output += line
    return output


def test_counting_goes_on_when_a_clean_up_removes_the_files(
    client: redis.Redis, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / "named"
    named.mkdir()
    (named / "counter_1.db").write_bytes(b"of another program")
    monkeypatch.setenv(METRICS_FOLDER, str(named))
    port = free_port()
    with workers(redis_url, 1, "--metrics-port", str(port)) as supervisor:
        eventually(lambda: len(worker_pids(client)) == 1)
        (folder,) = named.glob("lecturepulse-metrics-*")
        with suspended(supervisor.pid):  # or it makes new files while the old ones are removed
            shutil.rmtree(folder)
        eventually(lambda: scrape(port).value("worker_processes") == 1)

        keys = begin_lecture(client, "l")  # counted by the process whose files were removed
        for number, chunk in enumerate(chunks_of(PAGES[:3], 3)):
            feed(client, keys, number, chunk)
        await_end(client, keys)
        eventually(lambda: scrape(port).value("frames_published_total") == 3)

        with suspended(supervisor.pid):
            os.kill(worker_pids(client).pop(), signal.SIGKILL)
            shutil.rmtree(folder)
        eventually(lambda: scrape(port).value("worker_restarts_total") == 1)
        eventually(lambda: scrape(port).value("worker_processes") == 1)
    assert list(named.iterdir()) == [named / "counter_1.db"]
