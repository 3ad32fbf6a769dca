"""Counts of several processes are added up, and stay when a process dies."""

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


def dead_process() -> int:
    """The pid of a process that has counted and is dead."""
    with subprocess.Popen([sys.executable, "-c", COUNTS]) as process:
        assert process.wait() == 0
        return process.pid


def merged(folder: Path) -> Scrape:
    registry = CollectorRegistry()
    registry.register(WorkersCollector(folder))
    return Scrape(generate_latest(registry).decode())


def test_counts_of_several_processes_are_added_up(folder: Path) -> None:
    dead_process(), dead_process()
    all_of_them = merged(folder)
    assert all_of_them.value("faces_total") == 6
    assert all_of_them.value("step_seconds_count", step="faces") == 2
    assert all_of_them.value("step_seconds_bucket", step="faces", le="0.25") == 0
    assert all_of_them.value("step_seconds_bucket", step="faces", le="0.5") == 2
    assert all_of_them.value("worker_processes") == 2
    assert not any("pid" in dict(labels) for _, labels in all_of_them)


def test_counts_of_dead_processes_stay_and_their_gauges_do_not(folder: Path) -> None:
    pids = [dead_process(), dead_process()]
    before = merged(folder)
    for pid in pids:
        merge_dead(pid)
        assert merged(folder).counts == before.counts
    assert merged(folder).value("worker_processes") is None


def test_two_files_hold_the_counts_of_any_number_of_dead_processes(folder: Path) -> None:
    for _ in range(3):
        merge_dead(dead_process())
    assert sorted(path.name for path in folder.iterdir()) == ["counter_dead.db", "histogram_dead.db"]
    assert merged(folder).value("faces_total") == 9


def test_a_process_with_the_pid_of_a_dead_one_has_its_own_counts(folder: Path) -> None:
    pid = dead_process()
    merge_dead(pid)
    for path in list(folder.glob("*_dead.db")):  # as that process would write them
        path.with_name(path.name.replace("dead", str(pid))).write_bytes(path.read_bytes())
    merge_dead(pid)
    assert merged(folder).value("faces_total") == 6


def test_an_empty_new_file_is_ignored(folder: Path) -> None:
    (folder / "counter_1.db").touch()
    assert merged(folder) == {}
    merge_dead(1)
    assert merged(folder) == {}


def test_without_a_folder_there_is_nothing_to_merge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(METRICS_FOLDER)
    merge_dead(1)
