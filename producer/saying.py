"""What is said on standard error, beside the results on standard output."""

import os
import sys

from worker.contract.credentials import masked


def say(message: object) -> None:
    """One line on standard error. Whatever it quotes, user names and passwords of URLs are taken out."""
    line = " ".join(str(message).splitlines())
    # Not by typer.echo, which gets past what a moving line does in order to stay below.
    sys.stderr.write("producer: " + masked(line) + "\n")
    sys.stderr.flush()


def discard_output() -> None:
    """Whoever read standard output is gone: let what is still buffered vanish, or Python complains at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
