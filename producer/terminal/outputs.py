"""Outputs of events in a terminal: as JSON, as plain lines, or as progress with a table at the end."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from producer.presentation.clock import clock
from producer.reading.analysis.losses import Loss
from producer.reading.analysis.names import Names, Roster, RosterRefused, encode_named
from producer.reading.analysis.summary import Summary, displayed, ledger_line
from producer.saying import say
from producer.terminal.progress import ProgressBar, StatusLine
from worker.contract.messages import ClassEvent, EmotionEvent, EndEvent, Event

HIDDEN = "small group, hidden"


class Output:
    """Shows every event. It is a context manager, because some outputs start and stop a display."""

    def __enter__(self) -> object:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        pass

    def show(self, event: Event) -> None:
        raise NotImplementedError

    def tick(self) -> None:
        """Call it while no event comes, too: what is displayed may depend on the time."""

    def conclude(self, end: EndEvent, losses: Sequence[Loss] = ()) -> None:
        """Show the result, after the display has stopped. `losses` are the channels with missing events."""


class JsonLines(Output):
    """Each event at once as a line of JSON on standard output, and nothing else."""

    def __init__(self, names: Names | None = None) -> None:
        self._names = names

    def show(self, event: Event) -> None:
        if self._names is not None:
            self._names.add(event)
        sys.stdout.buffer.write(encode_named(event, self._names) + b"\n")
        sys.stdout.buffer.flush()


class PlainLines(Output):
    """One line for each participant's event (with `class_only`, for each class event), and one for the end."""

    def __init__(self, names: Names | None = None, class_only: bool = False) -> None:
        self._names = names or Names(Roster())
        self._class_only = class_only

    def show(self, event: Event) -> None:
        if isinstance(event, EmotionEvent):
            self._names.add(event)
            participant = filter(None, [event.participant, self._names.of(event.participant)])
            typer.echo("  ".join([clock(event.t), *participant, *displayed(event)]))
        elif isinstance(event, ClassEvent) and self._class_only:
            scores = sorted((event.scores or {}).items(), key=lambda score: -score[1])[:3]
            shares = ", ".join(f"{emotion} {share:.0%}" for emotion, share in scores) if not event.hidden else HIDDEN
            typer.echo("  ".join(filter(None, [clock(event.t), f"{event.faces} faces", shares])))
        elif isinstance(event, EndEvent):
            reason = f" ({event.reason})" if event.reason else ""
            typer.echo(f"{event.status}{reason}: {ledger_line(event.ledger)}")


class Overview(Output):
    """Progress on standard error. At the end, on standard output, a table of the participants and what to do next.

    If nobody was seen, it repeats `notice`, which may say why: another of several videos was read. If it is `quiet`,
    there is no table and nothing about the roster, because `forget` could not erase people from a log.
    """

    def __init__(
        self,
        lecture: str,
        redis: str | None,
        progress: ProgressBar | StatusLine,
        names: Names | None = None,
        class_only: bool = False,
        notice: str | None = None,
        quiet: bool = False,
    ) -> None:
        self._lecture = lecture
        self._class_only = class_only
        self._notice = notice
        self._quiet = quiet
        self._redis_option = f" --redis {redis}" if redis else ""
        self._progress = progress
        self._summary = Summary()
        self._names = names

    def __enter__(self) -> "Overview":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, event: Event) -> None:
        self._summary.add(event)
        if self._names is not None:
            self._names.add(event)
        if isinstance(event, ClassEvent):
            self._progress.advance(event)

    def conclude(self, end: EndEvent, losses: Sequence[Loss] = ()) -> None:
        if not self._quiet:
            self._show_people(losses)
            self._check_names(losses)
        typer.echo(ledger_line(end.ledger))
        program, redis = _program(), self._redis_option
        typer.echo(f"next:  {program} report {self._lecture} -o {self._lecture}.html{redis}")
        typer.echo(f"       {program} watch {self._lecture} --from-start{redis}")
        typer.echo(f"       {program} export {self._lecture} -o {self._lecture}.csv{redis}")

    def _show_people(self, losses: Sequence[Loss]) -> None:
        from rich.console import Console  # late: rich is slow to load

        from producer.terminal.tables import participants_table

        if self._class_only:
            typer.echo(self._summary.class_line())
        elif self._summary.participants or any(each.participant for each in losses):
            Console().print(participants_table(self._summary, self._names, losses))
        else:
            typer.echo("nobody was seen")
        if self._notice and not self._summary.anybody:
            typer.echo(self._notice)

    def _check_names(self, losses: Sequence[Loss]) -> None:
        """Say if the roster does not fit the lecture. The stored results are complete all the same."""
        if self._names is not None:
            try:
                lost = [each.participant for each in losses if each.participant is not None]
                unknown = self._names.check({*self._summary.participants, *lost})
            except RosterRefused as misfit:
                say(misfit)
            else:
                if unknown:
                    say(unknown)


def _program() -> str:
    """The command that runs this program again, even if it is not on the PATH."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "producer" and not shutil.which("producer") else "producer"
