"""What the command lines of producer, worker and training share: lines on standard error, `--version`, and help."""

import json
import signal
import sys
import threading
import traceback
import warnings
from datetime import datetime, timezone
from enum import Enum
from importlib.metadata import version
from types import TracebackType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from worker.contract.credentials import masked
from worker.contract.standard_streams import OutputLost

# The parent of all usage errors. typer brings its own click since 0.20, so it is not always click.UsageError.
_UsageError: Any = typer.BadParameter.__base__


class LogFormat(str, Enum):
    """The form of a log: lines for people, or one JSON object per line."""

    CONSOLE = "console"
    JSON = "json"


class LogLevel(str, Enum):
    """The least important lines of a log."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


LEVELS = list(LogLevel)
"""From the least to the most important."""

_lines, _least = LogFormat.CONSOLE, LogLevel.INFO
"""The form of what `print_error` prints in this process, and the least important lines of it."""


def run(app: typer.Typer, program: str) -> int:
    """Run the command line of `program`. Returns its exit code: 2 after a usage error, which is printed as one line.

    1 if the output cannot be written, 141 (as after SIGPIPE) if its reader has left.
    """
    try:
        try:
            return app(standalone_mode=False, prog_name=program) or 0
        finally:
            sys.stdout.flush()
    except OutputLost as lost:
        if lost.reader_left:
            return 128 + signal.SIGPIPE
        print_error(program, lost)
        return 1
    except _UsageError as wrong:
        command = wrong.ctx.command_path if wrong.ctx else program
        print_error(program, f"{_explained(wrong)}; see `{command} --help`")
        return 2


def _explained(wrong: Any) -> str:
    """The message of a usage error, with the refused value: those of pydantic, which typer uses, do not name it."""
    message: str = wrong.format_message().rstrip(".").replace("Value error, ", "")
    if hasattr(wrong.__cause__, "errors"):
        given = repr(wrong.__cause__.errors()[0]["input"])
        if given not in message:
            message += f", not {given}"
    return message


def print_error(program: str, message: object, level: LogLevel = LogLevel.ERROR, **more: str) -> None:
    """Print `message` as one line on standard error, without users and passwords of URLs. JSON has `more` fields.

    Nothing is printed if `level` is less important than --log-level asks for.
    """
    if LEVELS.index(level) < LEVELS.index(_least):
        return
    line = masked(" ".join(str(message).splitlines()))
    if _lines is LogFormat.JSON:
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        # As worker logs are: the same names in the same form.
        record = {"event": line, "program": program, "level": level.value, "timestamp": now.replace("+00:00", "Z")}
        line = json.dumps(record | {name: masked(text) for name, text in more.items()})
    else:
        line = f"{program}: {line}"
    sys.stderr.write(f"{line}\n")  # not typer.echo: a progress display would not notice it
    sys.stderr.flush()


def print_json_lines(program: str) -> None:
    """From now on, this process prints errors as JSON, and also uncaught exceptions and warnings."""
    global _lines
    _lines = LogFormat.JSON

    def uncaught(kind: type[BaseException], failure: BaseException | None, trace: TracebackType | None) -> None:
        exception = "".join(traceback.format_exception(kind, failure, trace))
        print_error(program, f"{kind.__name__}: {failure}", exception=exception)

    sys.excepthook = uncaught
    threading.excepthook = lambda thread: uncaught(thread.exc_type, thread.exc_value, thread.exc_traceback)
    warnings.showwarning = lambda message, *_, **__: print_error(program, message, LogLevel.WARNING)


class Command(TyperCommand):
    """A command whose help shows an argument as LECTURE; typer 0.29 shows `LECTURE <str>`."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        for parameter in self.params:
            if parameter.param_type_name == "argument" and parameter.metavar:
                vars(parameter)["display_type_rich"] = lambda ctx: None
        super().format_help(ctx, formatter)


def _print_version(context: typer.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        typer.echo(f"{context.find_root().info_name} {version('lecturepulse')}")
        raise typer.Exit


def _set_log_format(context: typer.Context, wanted: LogFormat) -> LogFormat:
    if wanted == LogFormat.JSON and not context.resilient_parsing:
        print_json_lines(context.find_root().info_name or "")
    return wanted


def _set_log_level(context: typer.Context, wanted: LogLevel) -> LogLevel:
    global _least
    if not context.resilient_parsing:
        _least = LogLevel(wanted)
    return wanted


LogLevelOption = Annotated[
    LogLevel,
    typer.Option(
        "--log-level",
        metavar="|".join(LEVELS),
        callback=_set_log_level,
        is_eager=True,
        help="The least important lines in the log.",
    ),
]
"""The option `--log-level`, also for `print_error`."""

LogFormatOption = Annotated[
    LogFormat,
    # Eager, so that an error in another option has this form too.
    typer.Option(
        "--log-format",
        metavar="console|json",
        callback=_set_log_format,
        is_eager=True,
        help="The form of lines in the log.",
    ),
]
"""The option `--log-format`. It also sets the form of what `print_error` prints."""

Version = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
]
"""The option `--version`, for the callback of an app: `def program(version: Version = False) -> None`."""
