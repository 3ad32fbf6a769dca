"""The time limit of a job while it processes pictures. Waiting for Redis has limits of its own."""

import faulthandler
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rq.timeouts import JobTimeoutException, UnixSignalDeathPenalty

# An exception cannot interrupt code that does not return to Python. This long after the limit, the process prints where
# it is and ends. Its supervisor starts another process, and the job is requeued.
STUCK_S = 5.0

_over_at: float | None = None


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise JobTimeoutException if the code within takes longer than `seconds`. Only for the main thread."""
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
    """Whether this process has exceeded its time limit. For any thread."""
    until = _over_at
    return until is not None and time.monotonic() > until
