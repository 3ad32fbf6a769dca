"""Tables for a terminal: the lectures in a Redis, and the participants of a lecture."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from producer.presentation.clock import clock, date
from producer.presentation.thresholds import MIN_SHARE
from producer.reading.analysis.losses import Loss
from producer.reading.analysis.names import Names
from producer.reading.analysis.summary import Summary, emotion_shares, unreadable_words
from producer.reading.lectures import Lecture


def lectures_table(lectures: list[Lecture]) -> Table:
    """One row for each lecture."""
    table = Table(box=None, pad_edge=False)
    longest = max((len(each.id) for each in lectures), default=0)
    table.add_column("lecture", no_wrap=True, min_width=longest)  # never cut: people copy it
    for heading in ("status", "started", "participants", "frames"):
        table.add_column(heading, no_wrap=True)
    courses = any(each.info.course for each in lectures)
    if courses:
        table.add_column("course", no_wrap=True)
    table.add_column("source", overflow="fold")  # the first to be broken into lines
    for each in lectures:
        status = "abandoned" if each.abandoned else each.info.status
        frames = f"{each.ledger.published}/{each.ledger.sampled}"
        course = [each.info.course or ""] if courses else []
        started = date(each.info.started)
        table.add_row(each.id, status, started, str(each.participants), frames, *course, Text(each.info.source))
    return table


def participants_table(summary: Summary, names: Names | None = None, losses: Sequence[Loss] = ()) -> Table:
    """One row for each participant: id, name (with `names`), first and last time, frames, shares of the emotions.

    The row of a participant with missing events says so.
    """
    table = Table("participant", box=None, pad_edge=False)
    if names is not None:
        table.add_column("name")
    for heading in ("seen from", "to", "frames"):
        table.add_column(heading, justify="right")
    table.add_column("displayed expression")
    missing = {each.participant: each.in_words() for each in losses if each.participant is not None}
    for participant in sorted({*summary.participants, *missing}):
        name = [] if names is None else [Text(names.of(participant) or "")]  # as text: a name is never markup
        seen = summary.participants.get(participant)
        if seen is None:
            table.add_row(participant, *name, "", "", "", missing[participant])
            continue
        shares = ", ".join(
            f"{emotion} {share:.0%}" for emotion, share in emotion_shares(seen.emotions) if share > MIN_SHARE
        )
        if seen.unreadable:
            unread = f"not readable {unreadable_words(seen.unreadable, seen.frames)}"
            shares = ", ".join(filter(None, [shares, unread]))
        shares += f" ({missing[participant]})" if participant in missing else ""
        table.add_row(participant, *name, clock(seen.first), clock(seen.last), str(seen.frames), shares)
    return table
