"""A moment: something worth watching in a lecture."""

from dataclasses import dataclass
from typing import Any, Literal

# Words name at most this many emotions, and leave out smaller changes.
MAX_NAMED = 3
MIN_NAMED = 0.05

Kind = Literal["stretch", "burst", "arrivals", "departures"]


@dataclass(frozen=True)
class Moment:
    """From `begin` to `end`, in seconds of media time; for arrivals and departures, the first and the last of them.

    `emotions` is emotion -> change of its share against what everybody usually displayed, -1 to 1, the largest first;
    empty for arrivals and departures. `people` of the `of` in view took part; None if single people are not known. `p`
    is the probability that chance alone makes such a moment anywhere in this lecture.
    """

    kind: Kind
    begin: float
    end: float
    emotions: dict[str, float]
    people: int | None
    of: int | None
    p: float

    @property
    def size(self) -> float:
        """How much to watch there is, to compare moments of one kind."""
        length = self.end - self.begin
        return self.changed * length if self.kind == "stretch" else self.changed or float(self.people or 0)

    @property
    def changed(self) -> float:
        """The share that moved from some emotions to others."""
        return sum(map(abs, self.emotions.values())) / 2

    @property
    def in_words(self) -> str:
        """The change in words, like `happiness up 31 points, neutral down 25`; `3 of 9 people` who came or went."""
        if not self.emotions:
            who = "several people" if self.people is None else f"{self.people} of {self.of} people"
            return f"{who} {'left' if self.kind == 'departures' else 'came'}"
        largest = list(self.emotions.items())[:MAX_NAMED]
        named = [each for each in largest if abs(each[1]) >= MIN_NAMED] or largest[:1]
        words = [f"{emotion} {'up' if change > 0 else 'down'} {100 * abs(change):.0f}" for emotion, change in named]
        return ", ".join([f"{words[0]} points", *words[1:]])

    def as_json(self) -> dict[str, Any]:
        """The moment as `producer summary --json` prints it."""
        return {
            "kind": self.kind,
            "from": self.begin,
            "to": self.end,
            "emotions": self.emotions,
            "people": self.people,
            "of": self.of,
            "p": self.p,
        }
