"""What all processes of a supervisor have counted, in one: also what those counted that are dead.

In prometheus_client's multiprocess mode every process keeps its numbers in files of its own, by its pid, in the folder
that FOLDER names. The numbers of a process that died are added to those of all others that did, so that counters never
go down and there are never more files than processes, and one set.
"""

import os
import threading
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that names the folder. prometheus_client looks for it once, when it is first imported."""

# In place of the pid, in the names of the files that hold what dead processes counted.
DEAD = "dead"

# Held while files are read or replaced: in between, the dead would be counted twice or not at all.
_files = threading.Lock()


class WorkersCollector(Collector):
    """What the processes whose files are in `folder` have counted, for a registry."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        with _files:
            # A file is empty for a moment after it was made, and then cannot be read.
            files = [str(path) for path in self._folder.glob("*.db") if path.stat().st_size]
            return list(MultiProcessCollector.merge(files))


def bury(pid: int) -> None:
    """Add what the dead process `pid` counted to what other dead ones did. Where nobody counts, do nothing."""
    if FOLDER not in os.environ:
        return
    for path in Path(os.environ[FOLDER]).glob(f"*_{pid}.db"):
        kind = path.name.partition("_")[0]
        if kind == "gauge":  # says how things are, and for a dead process they are not
            path.unlink()
        else:
            _add(path, path.with_name(f"{kind}_{DEAD}.db"))


def _add(path: Path, dead: Path) -> None:
    """Move the counts of one file into another, which need not be there."""
    counts: defaultdict[str, float] = defaultdict(float)
    with _files:
        for each in (path, dead):
            if each.exists() and each.stat().st_size:
                for key, value, _, _ in MmapedDict.read_all_values_from_file(str(each)):
                    counts[key] += value
        both = dead.with_suffix(".new")  # which no scrape looks at
        both.unlink(missing_ok=True)
        file = MmapedDict(str(both))
        for key, value in counts.items():
            file.write_value(key, value, 0.0)
        file.close()
        both.replace(dead)
        path.unlink()
