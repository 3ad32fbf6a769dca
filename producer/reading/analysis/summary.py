"""A summary of a lecture: each participant's first and last time, and the share of each displayed emotion."""

from collections import Counter
from dataclasses import dataclass, field

from producer.presentation.thresholds import MIN_SHARE
from worker.contract.messages import ClassEvent, EmotionEvent, Event, Ledger


@dataclass
class ParticipantSummary:
    """A participant: first and last time in seconds of media time, and frames by displayed emotion.

    `unreadable` counts the frames in which the face could not be read, by reason.
    """

    first: float
    last: float
    emotions: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)

    @property
    def frames(self) -> int:
        return self.emotions.total() + self.unreadable.total()

    def add(self, sighting: EmotionEvent) -> None:
        self.last = max(self.last, sighting.t)
        if sighting.emotion is not None:
            self.emotions[sighting.emotion] += 1
        else:
            self.unreadable[sighting.reason or "unknown"] += 1


class Summary:
    """Sums up the events of a lecture. Its size grows with the participants, not with the frames."""

    def __init__(self) -> None:
        self.participants: dict[str, ParticipantSummary] = {}
        self._class: Counter[str] = Counter()
        self._class_frames = 0
        self._hidden = False
        self._faces = 0

    def add(self, event: Event) -> None:
        if isinstance(event, ClassEvent):
            self._faces += event.faces
            if event.scores is not None:
                self._class.update(event.scores)
                self._class_frames += 1
            self._hidden |= event.hidden is True
        if isinstance(event, EmotionEvent):
            self.participants.setdefault(event.participant, ParticipantSummary(event.t, event.t)).add(event)

    @property
    def anybody(self) -> bool:
        """Whether a face was seen."""
        return self._faces > 0

    def class_line(self) -> str:
        """The class in one line: the mean share of each displayed emotion, the largest first."""
        if not self._class_frames and self._hidden:
            return "too few people were in view: small groups stay hidden"
        if not self._class_frames:
            return "no face could be read" if self._faces else "nobody was seen"
        means = [(emotion, total / self._class_frames) for emotion, total in self._class.most_common()]
        return "class: " + ", ".join(f"{emotion} {mean:.0%}" for emotion, mean in means if mean > MIN_SHARE)


def displayed(event: EmotionEvent) -> list[str]:
    """The emotion and its share, or why there is none: `["happiness", "93%"]`, `["not readable", "small"]`."""
    if event.emotion is None:
        return ["not readable", event.reason or ""]
    return [event.emotion, f"{(event.scores or {}).get(event.emotion, 0.0):.0%}"]


def unreadable_words(reasons: Counter[str], frames: int) -> str:
    """Like `40% (small, dark)`: the share of all `frames`, and the reasons, the commonest first; empty without any."""
    if not reasons:
        return ""
    return f"{reasons.total() / frames:.0%} ({', '.join(reason for reason, _ in reasons.most_common())})"


def emotion_shares(emotions: Counter[str]) -> list[tuple[str, float]]:
    """(emotion, share of the readable frames), the largest share first, equal shares by name."""
    by_count = sorted(emotions.items(), key=lambda item: (-item[1], item[0]))
    return [(emotion, count / emotions.total()) for emotion, count in by_count]


def ledger_line(ledger: Ledger) -> str:
    """Where every sampled frame went, in words, like `3 frames sampled: 2 published, 1 failed (timeout 1)`."""
    parts = [f"{ledger.published} published{_reasons(ledger, 'published')}"]
    parts += [
        f"{count} {name}{_reasons(ledger, name)}"
        for name, count in (("dropped", ledger.dropped), ("failed", ledger.failed))
        if count
    ]
    parts += [f"{ledger.in_flight} in flight"] if ledger.in_flight else []
    return f"{ledger.sampled} frames sampled: {', '.join(parts)}"


def _reasons(ledger: Ledger, name: str) -> str:
    """The ledger's reasons of this kind in parentheses, like ` (timeout 2, worker died 1)`; empty without any."""
    reasons = [
        (key.partition(":")[2].replace("_", " "), count)
        for key, count in sorted(ledger.reasons.items())
        if key.startswith(f"{name}:")
    ]
    return f" ({', '.join(f'{reason} {count}' for reason, count in reasons)})" if reasons else ""
