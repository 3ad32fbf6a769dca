"""Ctrl-C, SIGTERM, and SIGHUP of a closed terminal: the first one stops, the second one exits."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """A request to stop. The first signal sets `event`, and its number is `signal`; the program may set `event` too."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.signal: int | None = None


def stopping_signals() -> tuple[signal.Signals, ...]:
    """The signals that stop a command; SIGHUP is not one if it is ignored (`nohup`)."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM) if ignored else (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def exit_code(number: int) -> int:
    """The exit code that a shell reports for a program ended by this signal."""
    return 128 + number


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Inside, the first of `stopping_signals` sets the stop, the second raises SystemExit, and more are ignored.

    If the process was stopped, it ignores these signals after the context too, so that it can clean up.
    """
    stop = Stop()

    def on_signal(number: int, _: FrameType | None) -> None:
        if stop.signal is None:
            stop.signal = number
            stop.event.set()
            return
        for each in before:
            signal.signal(each, signal.SIG_IGN)  # the clean-up that follows must not be interrupted
        raise SystemExit(exit_code(number))

    before = {number: signal.getsignal(number) for number in stopping_signals()}
    for number in before:
        signal.signal(number, on_signal)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if stop.signal is None else signal.SIG_IGN)
