"""The parts of a lecture, chapters and slides: where they begin, what a time is called, what was displayed in each."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from producer.reading.analysis.timeline import Array, Timeline
from worker.contract.chapters import Chapter
from worker.contract.messages import EMOTIONS, Event, SlideEvent

MIN_CHANGE = 0.05
"""Smaller differences from the usual are not worth a word."""

MAX_NAMED = 2


@dataclass(frozen=True)
class Part:
    """A chapter or a slide, from `begin` to `end` in seconds. `title` is the chapter's, or like `slide 14`."""

    begin: float
    end: float
    title: str


@dataclass(frozen=True)
class Parts:
    """The chapters and the slides of a lecture, by time. There may be both, one or none of them."""

    chapters: list[Part] = field(default_factory=list)
    slides: list[Part] = field(default_factory=list)

    def place(self, t: float) -> str | None:
        """What a time is called: `slide 14`, or without slides `“Method”`. None if nothing is known there."""
        chapter, slide = _at(self.chapters, t), _at(self.slides, t)
        if slide:
            return slide.title
        return f"“{chapter.title.strip('“”')}”" if chapter else None


@dataclass(frozen=True)
class Displayed:
    """What was displayed in a part, compared with the usual: the median over the steps of the lecture.

    `change` is emotion -> change of its share, the largest first, without those below MIN_CHANGE. Each participant is
    compared with their own usual, so coming and going do not count; if participants are not known, the class is.
    `people` of `of` participants changed in the same direction as the first of them; None if nothing is named, or
    participants are not known.
    """

    change: dict[str, float]
    people: int | None = None
    of: int | None = None


class SlideTimes:
    """Collects the slides among the events of a lecture."""

    def __init__(self) -> None:
        self._begun: set[tuple[float, int]] = set()

    def add(self, event: Event) -> None:
        if isinstance(event, SlideEvent):
            self._begun.add((event.t, event.slide))

    def parts(self, chapters: Sequence[Chapter], seconds: float) -> Parts:
        """All parts of a lecture of `seconds` seconds. Those that begin after its end are left out."""
        slides = [(t, f"slide {number}") for t, number in sorted(self._begun)]
        return Parts(_parts([(each.t, each.title) for each in chapters], seconds), _parts(slides, seconds))


def displayed(part: Part, timeline: Timeline) -> Displayed | None:
    """What was displayed in `part`; None if no face could be read in it."""
    steps = _steps(part, timeline)
    if timeline.participants:
        changes = [_change(each.scores, each.read, steps) for each in timeline.participants]
    else:
        changes = [_change(timeline.scores, np.nan_to_num(timeline.read) * timeline.frames, steps)]
    seen = [each for each in changes if each is not None]
    if not seen:
        return None
    change = np.mean(seen, axis=0)
    order = sorted(range(len(EMOTIONS)), key=lambda n: -abs(change[n]))[:MAX_NAMED]
    named = {EMOTIONS[n]: float(change[n]) for n in order if abs(change[n]) >= MIN_CHANGE}
    if not named or not timeline.participants:
        return Displayed(named)
    alike = sum(bool(each[order[0]] * np.sign(change[order[0]]) >= MIN_CHANGE) for each in seen)
    return Displayed(named, alike, len(seen))


def _change(scores: Array, weights: Array, steps: slice) -> Array | None:
    """[7]: the mean of `scores` [bins, 7] over `steps`, less their median over all bins; None if there are none."""
    read = weights[steps]
    if not read.any():
        return None
    return np.asarray(read @ np.nan_to_num(scores[steps]) / read.sum() - np.nanmedian(scores, axis=0))


def _steps(part: Part, timeline: Timeline) -> slice:
    """The steps of the timeline that belong to a part, at least one."""
    first = min(round(part.begin / timeline.bin_s), max(0, timeline.bins - 1))
    return slice(first, max(first + 1, round(part.end / timeline.bin_s)))


def _parts(begun: list[tuple[float, str]], seconds: float) -> list[Part]:
    inside = [(t, title) for t, title in begun if t < seconds]
    ends = [t for t, _ in [*inside[1:], (seconds, "")]][: len(inside)]
    return [Part(t, end, title) for (t, title), end in zip(inside, ends, strict=True)]


def _at(parts: list[Part], t: float) -> Part | None:
    n = bisect_right([each.begin for each in parts], t)
    return parts[n - 1] if n else None
