"""The command line of the producer: its commands, and the exit codes of what may go wrong in any of them."""

import sys
from typing import Any

import redis
import typer
from typer.core import TyperGroup

from producer.archive.lecture import ArchiveDamaged
from producer.archive.place import ArchiveUnusable
from producer.cells.naming import CellsRefused
from producer.commands.archive import archive
from producer.commands.compare import compare
from producer.commands.connecting import RedisLost
from producer.commands.export import export
from producer.commands.forget import forget
from producer.commands.ingest import ingest
from producer.commands.list import list_lectures
from producer.commands.overlay import overlay
from producer.commands.report import report
from producer.commands.roster import roster
from producer.commands.serve import serve
from producer.commands.summary import summary
from producer.commands.watch import watch
from producer.embedded.folder import EmbeddedError
from producer.embedded.server import ResultsUnsaved
from producer.embedded.workers import WorkersEnded
from producer.feeding.fed_lecture import LectureGone
from producer.feeding.resuming import LectureNotResumable
from producer.feeding.sources.address import SourceError
from producer.feeding.starting import LectureExists, TooManyLectures
from producer.metrics.exposition import MetricsRefused
from producer.reading.analysis.names import RosterRefused
from producer.reading.archiving import LectureRunning
from producer.reading.chapters import ChaptersRefused
from producer.reading.follow import ParticipantUnknown
from producer.reading.lectures import LectureFed, LectureForgotten, LectureUnknown
from producer.reading.merging import LectureUnreadable
from producer.reading.output_file import ExportRefused
from producer.saying import say
from producer.stopping import exit_on_signals
from worker.contract.command_line import Command, LogLevel, Version, run
from worker.contract.connection import RedisUnusable
from worker.contract.limits import LimitExceeded

NOTHING_DONE = (
    SourceError,
    LectureExists,
    LectureNotResumable,
    TooManyLectures,
    LectureUnknown,
    LectureFed,
    ParticipantUnknown,
    ExportRefused,
    RosterRefused,
    ChaptersRefused,
    MetricsRefused,
    EmbeddedError,
    CellsRefused,
    RedisUnusable,
    ArchiveUnusable,
    LectureRunning,
)
"""Errors that end a command before it has done anything: exit code 2."""

CUT_SHORT = (
    LectureGone,
    LectureForgotten,
    LectureUnreadable,
    ArchiveDamaged,
    RedisLost,
    ResultsUnsaved,
    LimitExceeded,
    redis.RedisError,
)
"""Errors in the middle of the work: exit code 1."""


def main() -> None:
    """Run the command line. Every error is one line on standard error."""
    exit_on_signals()
    sys.exit(run(app, "producer"))


class Commands(TyperGroup):
    """The commands, with the errors that any of them may raise."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except WorkersEnded as failure:
            say(failure, LogLevel.ERROR)
            raise typer.Exit(2 if failure.refused else 1) from None
        except CUT_SHORT as failure:
            say(failure, LogLevel.ERROR)
            raise typer.Exit(1) from None
        except (*NOTHING_DONE, OSError) as failure:
            say(failure, LogLevel.ERROR)
            raise typer.Exit(2) from None


app = typer.Typer(cls=Commands, rich_markup_mode=None, pretty_exceptions_enable=False)
for command in (ingest, watch, serve, summary, report, overlay, compare, export, roster, archive):
    app.command(cls=Command)(command)
app.command("list", cls=Command)(list_lectures)
app.command(cls=Command)(forget)


@app.callback()
def producer(version: Version = False) -> None:
    """Make a timeline of the expressions displayed in a lecture, and read it.

    Exit codes: 0 done; 1 the lecture ended with failed frames or too early, or a connection was lost; 2 bad arguments,
    an unreadable source or an unusable Redis; 128 + N stopped by signal N (130 for Ctrl-C).
    """
