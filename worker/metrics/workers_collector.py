"""The counters of all processes of a supervisor, added up, including those of dead processes.

In prometheus_client's multiprocess mode every process counts in its own files, named by its pid (see `files`), in the
folder METRICS_FOLDER. The counts of dead processes are merged into one set of files. So counters never go down, except
when something removes the files, and the number of files does not grow with the number of dead processes.
"""

import os
import threading
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from worker.contract.environment import METRICS_FOLDER

# Replaces the pid in the names of the files with the counts of dead processes.
DEAD = "dead"

# Held while files are read or replaced. A scrape in between would count the dead twice or not at all.
_files = threading.Lock()


class WorkersCollector(Collector):
    """The counts of all processes whose files are in `folder`, for a registry."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        with _files:
            # A new file is empty for a moment and cannot be read.
            files = [str(path) for path in self._folder.glob("*.db") if path.stat().st_size]
            return list(MultiProcessCollector.merge(files))


def merge_dead(pid: int) -> None:
    """Merge the counts of the dead process `pid` into those of all dead ones. Does nothing without METRICS_FOLDER."""
    if METRICS_FOLDER not in os.environ:
        return
    with _files:
        for path in Path(os.environ[METRICS_FOLDER]).glob(f"*_{pid}.*.db"):
            kind = path.name.partition("_")[0]
            with suppress(FileNotFoundError):  # something removes the files at this moment
                if kind == "gauge":  # the state of a process, and a dead one has none
                    path.unlink()
                else:
                    _move(path, path.with_name(f"{kind}_{DEAD}.db"))


def _move(path: Path, dead: Path) -> None:
    """Add the counts of one file to another, which need not exist yet, and delete it."""
    counts: defaultdict[str, float] = defaultdict(float)
    for each in (path, dead):
        if each.exists() and each.stat().st_size:
            for key, value, _, _ in MmapedDict.read_all_values_from_file(str(each)):
                counts[key] += value
    merged = dead.with_suffix(".new")  # a name that no scrape reads
    merged.unlink(missing_ok=True)
    file = MmapedDict(str(merged))
    for key, value in counts.items():
        file.write_value(key, value, 0.0)
    file.close()
    merged.replace(dead)
    path.unlink()
