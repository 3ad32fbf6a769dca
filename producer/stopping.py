"""Ctrl-C and SIGTERM, once and twice."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """The wish to stop: `event` is set by the first signal, whose number is `signal`, or by whoever else wishes it."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.signal: int | None = None


def exit_code(number: int) -> int:
    """What a shell would make of a program that ended by this signal."""
    return 128 + number


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Within, the first SIGINT or SIGTERM only sets the wish; the second raises SystemExit, and more change nothing.

    After one, nothing interrupts any more what this process has left to do: ending what it started.
    """
    stop = Stop()

    def on_signal(number: int, _: FrameType | None) -> None:
        if stop.signal is None:
            stop.signal = number
            stop.event.set()
            return
        for each in before:
            signal.signal(each, signal.SIG_IGN)  # what is being ended properly now is not to be interrupted
        raise SystemExit(exit_code(number))

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, on_signal)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if stop.signal is None else signal.SIG_IGN)
