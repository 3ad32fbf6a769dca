"""What processes count, in files of their own, is one number, and stays when they die."""

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tests.scraping import Scrape
from worker.contract.environment import METRICS_FOLDER
from worker.metrics.workers_collector import WorkersCollector, merge_dead

COUNTS = """
import sys
from worker.metrics.counters import FACES, STEP_SECONDS, WORKER_PROCESSES
FACES.inc(3)
STEP_SECONDS.labels("faces").observe(0.3)
WORKER_PROCESSES.set(1)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(METRICS_FOLDER, str(tmp_path))
    return tmp_path


def counted() -> int:
    """Have a process count, and die; its pid."""
    with subprocess.Popen([sys.executable, "-c", COUNTS]) as process:
        assert process.wait() == 0
        return process.pid


def merged(folder: Path) -> Scrape:
    registry = CollectorRegistry()
    registry.register(WorkersCollector(folder))
    return Scrape(generate_latest(registry).decode())


def test_what_several_processes_count_is_added_up(folder: Path) -> None:
    counted(), counted()
    all_of_them = merged(folder)
    assert all_of_them.value("faces_total") == 6
    assert all_of_them.value("step_seconds_count", step="faces") == 2
    assert all_of_them.value("step_seconds_bucket", step="faces", le="0.25") == 0
    assert all_of_them.value("step_seconds_bucket", step="faces", le="0.5") == 2
    assert all_of_them.value("worker_processes") == 2
    assert not any("pid" in dict(labels) for _, labels in all_of_them)


def test_what_the_dead_counted_stays_and_what_they_were_does_not(folder: Path) -> None:
    pids = [counted(), counted()]
    before = merged(folder)
    for pid in pids:
        merge_dead(pid)
        assert merged(folder).counts == before.counts
    assert merged(folder).value("worker_processes") is None


def test_however_many_die_two_files_are_left_of_them(folder: Path) -> None:
    for _ in range(3):
        merge_dead(counted())
    assert sorted(path.name for path in folder.iterdir()) == ["counter_dead.db", "histogram_dead.db"]
    assert merged(folder).value("faces_total") == 9


def test_a_process_that_got_the_pid_of_a_dead_one_counts_on_its_own(folder: Path) -> None:
    pid = counted()
    merge_dead(pid)
    for path in list(folder.glob("*_dead.db")):  # what such a process would have written
        path.with_name(path.name.replace("dead", str(pid))).write_bytes(path.read_bytes())
    merge_dead(pid)
    assert merged(folder).value("faces_total") == 6


def test_a_file_that_is_just_being_made_is_passed_over(folder: Path) -> None:
    (folder / "counter_1.db").touch()
    assert merged(folder) == {}
    merge_dead(1)
    assert merged(folder) == {}


def test_where_nobody_counts_in_files_there_is_nobody_to_bury(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(METRICS_FOLDER)
    merge_dead(1)
