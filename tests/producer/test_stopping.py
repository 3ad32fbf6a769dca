"""Signals that end a command."""

import signal
import subprocess
import sys

import pytest

from producer.stopping import exit_code

FINALIZING = """
import os, signal, sys, time
from producer.stopping import exit_on_signals

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), int(sys.argv[1]))
        for _ in range(1000):  # the handler runs between two instructions of this method
            pass

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
exit_on_signals()
Finalized()
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_a_program_also_while_an_object_is_finalized(number: signal.Signals) -> None:
    ended = subprocess.run([sys.executable, "-c", FINALIZING, str(int(number))], timeout=50, capture_output=True)
    assert ended.returncode in (exit_code(number), -number)  # of KeyboardInterrupt, Python dies by the signal itself


def test_other_errors_of_finalizers_are_still_printed() -> None:
    program = FINALIZING.replace("os.kill(os.getpid(), int(sys.argv[1]))", "raise ValueError('lost')")
    program = program.replace("time.sleep(60)", "")
    ended = subprocess.run([sys.executable, "-c", program], timeout=50, capture_output=True, text=True)
    assert ended.returncode == 0
    assert "ValueError: lost" in ended.stderr
