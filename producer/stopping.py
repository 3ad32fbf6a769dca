"""Ctrl-C, SIGTERM, and SIGHUP of a closed terminal: the first one stops, the second one exits."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_FINALIZED_S = 0.05
"""Seconds after which a finalizer that swallowed a signal's exception has most likely ended."""


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


def exit_on_signals() -> None:
    """From now on `stopping_signals` end the process by SystemExit, SIGINT by Python's own KeyboardInterrupt.

    Python only prints an exception that is raised while it finalizes an object. Then the signal is sent once more.
    """

    def on_signal(number: int, _: FrameType | None) -> None:
        raise SystemExit(exit_code(number))

    def on_unraisable(lost: "sys.UnraisableHookArgs") -> None:
        number = next((each for each in stopping_signals() if _is_of(lost.exc_value, each)), None)
        if number is None:
            sys.__unraisablehook__(lost)
        else:
            again = threading.Timer(_FINALIZED_S, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()

    for number in stopping_signals():
        if number is not signal.SIGINT:
            signal.signal(number, on_signal)
    sys.unraisablehook = on_unraisable


def _is_of(raised: BaseException | None, number: signal.Signals) -> bool:
    if number is signal.SIGINT and isinstance(raised, KeyboardInterrupt):
        return True
    return isinstance(raised, SystemExit) and raised.code == exit_code(number)


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
