"""Messages on standard error, beside the results on standard output."""

from worker.contract.command_line import print_error


def say(message: object) -> None:
    """Print one line on standard error, without users and passwords of URLs."""
    print_error("producer", message)
