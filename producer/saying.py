"""Messages on standard error, beside the results on standard output."""

from worker.contract.command_line import LogLevel, print_error


def say(message: object, level: LogLevel = LogLevel.WARNING) -> None:
    """Print one line on standard error, without users and passwords of URLs. A JSON log shows its `level`."""
    print_error("producer", message, level)
