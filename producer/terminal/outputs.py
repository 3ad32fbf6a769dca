"""What is seen of a lecture: its events, as JSON or in plain words, or a moving line and then a table."""

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import typer

from producer.presentation.clock import clock
from producer.reading.analysis.summary import Summary, ledger_line
from producer.reading.roster import Names, RosterRefused, encode_named
from producer.saying import say
from worker.contract.messages import ClassEvent, EmotionEvent, EndEvent, Event


class Display(Protocol):
    """A context manager that is shown every event, and the last one again when all is over."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def show(self, event: Event) -> None: ...

    def conclude(self, end: EndEvent) -> None: ...


class JsonLines:
    """Every event as a line of JSON on standard output, at once, and nothing else."""

    def __init__(self, names: Names | None = None) -> None:
        self._names = names

    def __enter__(self) -> "JsonLines":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def show(self, event: Event) -> None:
        if self._names is not None:
            self._names.add(event)
        sys.stdout.buffer.write(encode_named(event, self._names) + b"\n")
        sys.stdout.buffer.flush()

    def conclude(self, end: EndEvent) -> None:
        pass


class PlainLines:
    """What every participant displays, a line an event, and how the lecture ended; or what the class displays."""

    def __init__(self, names: Names | None = None, class_only: bool = False) -> None:
        self._names = names
        self._class_only = class_only

    def show(self, event: Event) -> None:
        if isinstance(event, EmotionEvent):
            who = [event.participant]
            if self._names is not None:
                self._names.add(event)
                who += filter(None, [self._names.of(event.participant)])
            share = event.scores.get(event.emotion, 0.0)
            typer.echo("  ".join([clock(event.t), *who, event.emotion, f"{share:.0%}"]))
        elif isinstance(event, ClassEvent) and self._class_only:
            scores = sorted((event.scores or {}).items(), key=lambda score: -score[1])[:3]
            shares = ", ".join(f"{emotion} {share:.0%}" for emotion, share in scores)
            typer.echo("  ".join(filter(None, [clock(event.t), f"{event.faces} faces", shares])))
        elif isinstance(event, EndEvent):
            why = f" ({event.reason})" if event.reason else ""
            typer.echo(f"{event.status}{why}: {ledger_line(event.ledger)}")


class Overview:
    """A bar or line on standard error while it lasts; then, on standard output, who was seen with what expressions."""

    def __init__(
        self,
        lecture: str,
        redis: str | None,
        line: "Bar | Line",
        names: Names | None = None,
        class_only: bool = False,
    ) -> None:
        self._lecture = lecture
        self._class_only = class_only
        self._where = f" --redis {redis}" if redis else ""
        self._line = line
        self._summary = Summary()
        self._names = names

    def __enter__(self) -> "Overview":
        self._line.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._line.stop()

    def show(self, event: Event) -> None:
        self._summary.add(event)
        if self._names is not None:
            self._names.add(event)
        if isinstance(event, ClassEvent):
            self._line.advance(event)

    def conclude(self, end: EndEvent) -> None:
        from rich.console import Console

        if self._class_only:
            typer.echo(self._summary.class_line())
        elif self._summary.participants:
            Console().print(self._summary.table(self._names))
        else:
            typer.echo("nobody was seen")
        typer.echo(ledger_line(end.ledger))
        self._check_names()
        program = _program()
        typer.echo(f"look closer:  {program} report {self._lecture} -o {self._lecture}.html{self._where}")
        typer.echo(f"              {program} watch {self._lecture} --from-start{self._where}")
        typer.echo(f"              {program} export {self._lecture} -o {self._lecture}.csv{self._where}")

    def _check_names(self) -> None:
        """Say where the roster does not fit; what was ingested is no worse for it."""
        if self._names is not None:
            try:
                self._names.check(self._summary.participants)
            except RosterRefused as misfit:
                say(misfit)


class Bar:
    """How far a recording is."""

    def __init__(self, lecture: str, expected_frames: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._started = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[frames]} frames, {task.fields[at]}, {task.fields[speed]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            refresh_per_second=4,
        )
        self._expected = expected_frames
        self._task = self._progress.add_task(f"ingesting {lecture}", total=expected_frames, **self._fields(0, 0.0))

    def start(self) -> None:
        self._progress.start()

    def stop(self) -> None:
        self._progress.stop()

    def advance(self, event: ClassEvent) -> None:
        frames = event.frame + 1
        self._progress.update(self._task, completed=frames, **self._fields(frames, event.t))

    def _fields(self, frames: int, t: float) -> dict[str, Any]:
        speed = t / max(time.monotonic() - self._started, 0.1)
        expected = f"/{self._expected}" if self._expected is not None else ""
        return {"frames": f"{frames}{expected}", "at": clock(t), "speed": f"{speed:.1f}x real time"}


class Line:
    """How a live source is doing: what `text` says, once a second."""

    def __init__(self, text: Callable[[], str]) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        self._live = Live(
            get_renderable=lambda: Text(text(), no_wrap=True, overflow="ellipsis"),
            console=Console(stderr=True),
            refresh_per_second=1,
        )

    def start(self) -> None:
        self._live.start()

    def stop(self) -> None:
        self._live.stop()

    def advance(self, _: ClassEvent) -> None:
        """Nothing: it tells of the source, which goes on without events too."""


def _program() -> str:
    """What to type to run this program again, where it does not lie on the PATH too."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "producer" and not shutil.which("producer") else "producer"
