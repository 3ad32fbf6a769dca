"""The processor cores that a program may use. Pure."""

import os
import sys


def usable_cores() -> int:
    """How many there are. macOS cannot give a process only some of them, so there all count."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
