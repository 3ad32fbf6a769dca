"""`producer watch`."""

import sys
from typing import Annotated

import redis as redis_py
import typer

from producer.commands.arguments import (
    PARTICIPANT_ID,
    ArchiveOption,
    JsonOption,
    LectureArgument,
    RedisOption,
    RosterOption,
)
from producer.commands.connecting import connected
from producer.listening import workers_listen
from producer.reading.analysis.losses import Kept, loss_line
from producer.reading.follow import follow
from producer.reading.lectures import Store, losses_at_end, read_lecture
from producer.reading.roster import names_in
from producer.saying import say
from producer.terminal.outputs import JsonLines, Output, PlainLines
from worker.contract.command_line import LogFormat, LogFormatOption, LogLevel, LogLevelOption


def watch(
    lecture: LectureArgument,
    participant: Annotated[
        str | None,
        typer.Option(parser=PARTICIPANT_ID, metavar="ID", show_default=False, help="Only this participant's events."),
    ] = None,
    from_start: Annotated[bool, typer.Option("--from-start", help="Start with the lecture's first event.")] = False,
    roster: RosterOption = None,
    redis: RedisOption = None,
    archive: ArchiveOption = None,
    json: JsonOption = False,
    log_format: LogFormatOption = LogFormat.CONSOLE,
    log_level: LogLevelOption = LogLevel.INFO,
) -> None:
    """Follow a lecture's events until it ends."""
    with connected(redis, lecture, archive) as store:
        names = names_in(store, lecture, roster) if roster is not None else None
        kept = Kept()
        class_only = read_lecture(store, lecture).info.class_only  # raises before anything is drawn
        output: Output = JsonLines(names) if json else PlainLines(names, class_only)
        if not json and sys.stdout.isatty():
            from producer.terminal.live_table import LiveTable  # late: rich is slow to load

            output = LiveTable(lecture, lambda: read_lecture(store, lecture), names, whole=participant is None)
        waiting = _Waiting(store, lecture, output)
        with output:
            for event in follow(store, lecture, participant, from_start, while_waiting=waiting):
                waiting.calls = 0
                kept.add(event)
                output.show(event)
        losses = losses_at_end(store, lecture, kept) if from_start else []
    if losses := [each for each in losses if participant in (None, each.participant)]:
        say(f"lecture {lecture}: {loss_line(losses)}")


class _Waiting:
    """Called once a second while no event comes. The call number QUIET_CALLS says if no event is likely to come.

    `calls` counts the calls in a row. Set it to 0 at every event.
    """

    # A feed renews its heartbeat every 10 s, and a worker that loads its models is not listed yet.
    QUIET_CALLS = 15

    def __init__(self, store: Store, lecture: str, output: Output) -> None:
        self._store = store
        self._lecture = lecture
        self._output = output
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        if self.calls == self.QUIET_CALLS:
            found = read_lecture(self._store, self._lecture)
            assert isinstance(self._store, redis_py.Redis), "nobody waits for events of the archive"
            if not found.fed and (found.abandoned or not workers_listen(self._store)):
                say(f"no producer feeds lecture {self._lecture}, and no worker works on it; waiting (Ctrl-C ends that)")
        self._output.tick()
