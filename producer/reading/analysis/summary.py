"""What a lecture comes to: who was seen, from when to when, and with what share of each displayed emotion."""

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from producer.presentation.clock import clock
from producer.reading.roster import Names
from worker.contract.messages import ClassEvent, EmotionEvent, Event, Ledger

if TYPE_CHECKING:
    from rich.table import Table


# Anything less would be shown as 0 %.
LEAST_SHARE = 0.005


@dataclass
class Seen:
    """A participant: first and last time in seconds of media time, and frames by displayed emotion."""

    first: float
    last: float
    emotions: Counter[str] = field(default_factory=Counter)

    @property
    def frames(self) -> int:
        return self.emotions.total()

    @property
    def shares(self) -> list[tuple[str, float]]:
        """(emotion, share of the frames), the strongest first; equally strong ones by name."""
        by_strength = sorted(self.emotions.items(), key=lambda item: (-item[1], item[0]))
        return [(emotion, count / self.frames) for emotion, count in by_strength]


class Summary:
    """Sums up a lecture while its events pass by; what it holds grows with the participants, not with the frames."""

    def __init__(self) -> None:
        self.participants: dict[str, Seen] = {}
        self._class: Counter[str] = Counter()
        self._class_frames = 0

    def add(self, event: Event) -> None:
        if isinstance(event, ClassEvent) and event.scores is not None:
            self._class.update(event.scores)
            self._class_frames += 1
        if isinstance(event, EmotionEvent):
            seen = self.participants.setdefault(event.participant, Seen(event.t, event.t))
            seen.last = event.t
            seen.emotions[event.emotion] += 1

    def class_line(self) -> str:
        """The class in one line: the mean share of each displayed expression, the strongest first."""
        if not self._class_frames:
            return "nobody was seen"
        means = [(emotion, total / self._class_frames) for emotion, total in self._class.most_common()]
        return "class: " + ", ".join(f"{emotion} {mean:.0%}" for emotion, mean in means if mean > LEAST_SHARE)

    def table(self, names: Names | None = None) -> "Table":
        """A row a participant: id, with `names` the name, seen from and to, frames, share of each emotion."""
        from rich.table import Table
        from rich.text import Text

        table = Table("participant", box=None, pad_edge=False)
        if names is not None:
            table.add_column("name")
        for heading in ("seen from", "to", "frames"):
            table.add_column(heading, justify="right")
        table.add_column("displayed expression")
        for participant, seen in sorted(self.participants.items()):
            shares = ", ".join(f"{emotion} {share:.0%}" for emotion, share in seen.shares if share > LEAST_SHARE)
            name = [] if names is None else [Text(names.of(participant) or "")]  # no markup, whatever is in it
            table.add_row(participant, *name, clock(seen.first), clock(seen.last), str(seen.frames), shares)
        return table


def ledger_line(ledger: Ledger) -> str:
    """The ledger in words: where every sampled frame went."""
    parts = [f"{ledger.published} published"]
    parts += [f"{count} {name}" for name, count in (("dropped", ledger.dropped), ("failed", ledger.failed)) if count]
    parts += [f"{ledger.in_flight} in flight"] if ledger.in_flight else []
    line = f"{ledger.sampled} frames sampled: {', '.join(parts)}"
    if ledger.reasons:
        line += " (" + ", ".join(f"{reason} {count}" for reason, count in sorted(ledger.reasons.items())) + ")"
    return line
