"""Messages on standard error, beside the results on standard output."""

import os
import sys

from worker.contract.command_line import print_error


def say(message: object) -> None:
    """Print one line on standard error, without users and passwords of URLs."""
    print_error("producer", message)


def discard_output() -> None:
    """Discard what is still buffered for a closed standard output; otherwise Python complains when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
