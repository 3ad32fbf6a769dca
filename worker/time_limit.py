"""The time limit of a job, for as long as its pictures are looked at. Waiting for Redis has limits of its own."""

import faulthandler
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rq.timeouts import JobTimeoutException, UnixSignalDeathPenalty

# An exception cannot reach code that never comes back to Python. This long after its limit, a process that is still at
# it prints where and ends, whatever its threads do: its supervisor starts another, and the job goes on elsewhere.
STUCK_S = 5.0

_over_at: float | None = None


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """JobTimeoutException if what is done within takes longer than `seconds`. For the main thread only."""
    global _over_at
    _over_at = time.monotonic() + seconds
    faulthandler.dump_traceback_later(seconds + STUCK_S, exit=True, file=sys.__stderr__ or sys.stderr)
    try:
        with UnixSignalDeathPenalty(seconds, JobTimeoutException):
            yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        _over_at = None


def exceeded() -> bool:
    """Whether this process is looking at pictures for longer than it may. From any thread."""
    until = _over_at
    return until is not None and time.monotonic() > until
