"""The lectures of a comparison: what each of them displayed, and which pairs can be compared."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from producer.reading.analysis.comparison import MIN_PEOPLE, Difference, Shares, differences, shares
from producer.reading.analysis.losses import Loss
from producer.reading.analysis.names import Roster
from producer.reading.analysis.timeline import Timeline
from producer.reading.lectures import Lecture, Store, read_lecture
from producer.reading.summing_up import SummedUp, summed_up

Steps = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Compared:
    """One lecture: the shares of the whole and of its chapters, by title. Chapters with equal titles are one.

    `unknown` are ids that its roster names and that it lacks.
    """

    lecture: Lecture
    timeline: Timeline
    whole: Shares
    chapters: Mapping[str, Shares]
    losses: Sequence[Loss]
    unknown: Sequence[str] = ()

    @property
    def id(self) -> str:
        return self.lecture.id

    def part(self, title: str | None) -> Shares:
        """A chapter, or the whole lecture."""
        return self.whole if title is None else self.chapters[title]


@dataclass(frozen=True)
class Pair:
    """Two lectures, or the chapter `title` of both, and their difference; None if nothing can be concluded."""

    one: Compared
    other: Compared
    title: str | None
    difference: Difference | None


def read_compared(store: Store, lecture: str, roster: Roster | None) -> Compared:
    """Read one lecture. Raises LectureUnknown, and RosterRefused if the roster does not fit."""
    summed = summed_up(store, read_lecture(store, lecture), roster)
    timeline = summed.timeline
    people = {each.id: _person(lecture, each.id, summed.names) for each in timeline.participants}
    chapters = {title: shares(timeline, people, within) for title, within in _chapters(summed).items() if within.any()}
    return Compared(summed.lecture, timeline, shares(timeline, people), chapters, summed.losses, summed.unknown)


def pairs(lectures: Sequence[Compared]) -> tuple[list[Pair], list[Pair]]:
    """The first lecture with each of the others: as a whole, and for each chapter that both have."""
    first, *others = lectures
    whole = [(first, other, None) for other in others]
    shared = [(first, other, title) for title in first.chapters for other in others if title in other.chapters]
    return _with_differences(whole), _with_differences(shared)


def reason(pair: Pair) -> str:
    """Why nothing can be concluded about a pair without a difference."""
    for each in (pair.one, pair.other):
        part = each.part(pair.title)
        if part.mean is None and np.nansum(each.timeline.hidden):
            return f"too few people were in view in {each.id}, and small groups stay hidden"
        if part.mean is None:
            return f"no face could be read in {each.id}"
        if each.lecture.info.class_only:
            return f"{each.id} was ingested with --class-only, so single people are not known, nor how much they differ"
        if not part.enough:
            count = len(part.people)
            who = "nobody" if not count else "only 1 person" if count == 1 else f"only {count} people"
            return f"{who} could be read long enough in {each.id}, and an interval needs {MIN_PEOPLE}"
    raise AssertionError("a pair with enough people has a difference")


def _with_differences(chosen: Sequence[tuple[Compared, Compared, str | None]]) -> list[Pair]:
    parts = [(one.part(title), other.part(title)) for one, other, title in chosen]
    able = [n for n, (one, other) in enumerate(parts) if one.enough and other.enough]
    found = dict(zip(able, differences([parts[n] for n in able]), strict=True)) if able else {}
    return [Pair(*each, found.get(n)) for n, each in enumerate(chosen)]


def _person(lecture: str, participant: str, names: Mapping[str, str]) -> str:
    """A key for the person: the same in two lectures only if the rosters give the same name."""
    name = names.get(participant)
    # NFC, because ü may be written as one character or as two.
    return f"={unicodedata.normalize('NFC', name)}" if name is not None else f"{lecture}/{participant}"


def _chapters(summed: SummedUp) -> dict[str, Steps]:
    """Title -> the steps of the timeline whose middle is in a chapter of this title."""
    middles = (np.arange(summed.timeline.bins) + 0.5) * summed.timeline.bin_s
    steps: dict[str, Steps] = {}
    for each in summed.parts.chapters:
        inside = (middles >= each.begin) & (middles < each.end)
        steps[each.title] = steps.get(each.title, False) | inside
    return steps
