"""The files in which one process counts, named after it, and their replacement if something removes them."""

import os
from pathlib import Path

from prometheus_client import values

from worker.contract.environment import METRICS_FOLDER


class ProcessName:
    """Returns a process' name for prometheus_client: its pid, and a number that grows when its files were removed.

    prometheus_client asks for the name before each count, and opens new files when it changes. The counts then start
    again at zero, which Prometheus understands. Without new files a process would count in removed ones that nobody
    reads, as after a clean-up of old files in /tmp.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._removals = 0
        self._made = False

    def __call__(self) -> str:
        # In one process all kinds of metrics are created together, so one file stands for all.
        if (self._folder / f"counter_{self._name()}.db").exists():
            self._made = True
        elif self._made:
            try:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError:
                return self._name()  # work goes on without metrics
            self._removals += 1
            self._made = False
        return self._name()

    def _name(self) -> str:
        return f"{os.getpid()}.{self._removals}"


def count_in_files() -> None:
    """Let this process count in files in METRICS_FOLDER, if it is set. Call this before any metric is created."""
    if METRICS_FOLDER in os.environ:
        named = ProcessName(Path(os.environ[METRICS_FOLDER]))
        values.ValueClass = values.MultiProcessValue(named)
