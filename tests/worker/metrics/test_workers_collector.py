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


def test_counts_of_several_processes_are_added_up_and_stay_in_two_files_when_they_die(folder: Path) -> None:
    pids = [dead_process(), dead_process()]
    before = merged(folder)
    assert before.value("faces_total") == 6
    assert before.value("step_seconds_count", step="faces") == 2
    assert before.value("step_seconds_bucket", step="faces", le="0.25") == 0
    assert before.value("step_seconds_bucket", step="faces", le="0.5") == 2
    assert before.value("worker_processes") == 2
    assert not any("pid" in dict(labels) for _, labels in before)
    for pid in pids:
        merge_dead(pid)
        assert merged(folder).counts == before.counts
    assert merged(folder).value("worker_processes") is None, "a gauge does not outlive its process"
    assert sorted(path.name for path in folder.iterdir()) == ["counter_dead.db", "histogram_dead.db"]

    for path in list(folder.glob("*_dead.db")):  # as a process with the pid of a dead one would write them
        path.with_name(path.name.replace("dead", f"{pids[0]}.0")).write_bytes(path.read_bytes())
    merge_dead(pids[0])
    assert merged(folder).value("faces_total") == 12


def test_without_counts_or_a_folder_there_is_nothing_to_merge(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "counter_1.db").touch()
    assert merged(folder) == {}
    merge_dead(1)
    assert merged(folder) == {}
    monkeypatch.delenv(METRICS_FOLDER)
    merge_dead(1)
