"""Events that Redis does not have any more, although the lecture's hashes count them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from worker.contract.lecture_hash import LectureInfo
from worker.contract.limits import MAX_STREAM_EVENTS
from worker.contract.messages import ClassEvent, EmotionEvent, Event, ParticipantSpan, SlideEvent

MAX_NAMED = 10
"""Channels that a line names; it counts the others."""

UNKNOWN = "(unknown)"
"""Stands for all participants of a lecture whose hash of participants is lost. It cannot be an id."""

GONE = "streams in Redis were evicted, deleted or expired"


class Loss(Struct, frozen=True, tag_field="type", tag="lost"):
    """A channel of which Redis lacks `missing` of its `published` events; `participant` is None for the class.

    If `trimmed`, the stream has its newest events. Otherwise it was evicted, deleted or expired.
    """

    lecture: str
    participant: str | None
    published: int
    missing: int
    trimmed: bool
    v: Literal[1] = 1

    @property
    def word(self) -> str:
        return "trimmed" if self.trimmed else "lost"

    @property
    def complete(self) -> bool:
        """Whether no event is left."""
        return self.missing == self.published

    def in_words(self) -> str:
        """Like `all 240 events lost`, or `the oldest 7 of 100007 events trimmed`."""
        count = f"all {self.published}" if self.complete else f"{self.missing} of {self.published}"
        return f"{'the oldest ' if self.trimmed else ''}{count} events {self.word}"


class Kept:
    """Counts the events of each channel that Redis still has."""

    def __init__(self) -> None:
        self._events: Counter[str | None] = Counter()
        self._faces = 0
        self._slides = 0

    def add(self, event: Event) -> None:
        if isinstance(event, EmotionEvent):
            self._events[event.participant] += 1
        elif isinstance(event, ClassEvent):
            self._events[None] += 1
            self._faces += event.faces
        elif isinstance(event, SlideEvent):
            self._slides += 1

    def losses(self, lecture: str, info: LectureInfo, spans: Mapping[str, ParticipantSpan]) -> list[Loss]:
        """The channels with missing events, the class first.

        `info` counts the events of the class, `spans` those of the participants. Read both before the events, or after
        the end of the lecture; otherwise newer events count as missing. If the class had more faces than `spans` has
        events, participants are missing from `spans`. That is known only when the lecture is over.
        """
        expected: dict[str | None, int] = {None: info.published}
        expected.update({each: span.frames for each, span in spans.items()})
        unknown = self._faces - sum(max(span.frames, self._events[each]) for each, span in spans.items())
        if unknown > 0 and info.status != "running" and not info.class_only:
            expected[UNKNOWN] = unknown
        others = {channel: 1 if channel is not None else 1 + self._slides for channel in expected}
        return [
            # The end takes one entry of a full stream, and so does each new slide, if it is the stream of the class.
            Loss(lecture, channel, count, count - kept, trimmed=kept + others[channel] >= MAX_STREAM_EVENTS)
            for channel, count in expected.items()
            if (kept := self._events[channel]) < count
        ]


def loss_line(losses: Sequence[Loss]) -> str:
    """The losses of a lecture in one line; empty if there are none."""
    parts = []
    for lost in ([each for each in losses if not each.trimmed], [each for each in losses if each.trimmed]):
        if lost:
            named = [f"{each.participant or 'the class'} ({each.in_words()})" for each in lost[:MAX_NAMED]]
            named += [f"{len(lost) - MAX_NAMED} more"] if len(lost) > MAX_NAMED else []
            why = f"streams keep their last {MAX_STREAM_EVENTS} events" if lost[0].trimmed else GONE
            parts.append(f"events are missing, because {why}: {', '.join(named)}")
    return "; ".join(parts)
