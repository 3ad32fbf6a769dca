"""What a lecture was like, in three to five plain sentences. Rules make them; every rule is a function.

They say what was displayed, never what anybody felt, and at which times, so that the reader can watch it.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from producer.presentation.clock import clock
from producer.reading.analysis.moment import Moment
from producer.reading.analysis.timeline import Timeline
from worker.contract.messages import EMOTIONS

MAX_MOMENTS = 3
"""Moments that get a sentence. With one before and one after them, there are at most five."""

# Nothing is said about expressions if this share of all faces cannot be read, or if fewer seconds can.
MAX_UNREADABLE = 0.8
MIN_READ_S = 20.0

# A sentence about a moment names the emotions that changed at least this share of the largest change.
NAMED_SHARE = 0.4

# The sentence about the whole lecture names up to this many emotions, with at least this share.
MAX_NAMED = 3
MIN_SHARE = 0.1

# A share up to this would be written as 0%, so it is not named.
UNWRITTEN = 0.005

# An expression prevailed if its share is at least this: twice that of seven equal parts.
PREVAILING = 2 / len(EMOTIONS)

# Several who come or go within this time do so at one time.
AT_ONCE_S = 10.0


class NamedTime(NamedTuple):
    """A time that has a name: a slide or a chapter that is displayed at `t` seconds."""

    t: float
    words: str


@dataclass(frozen=True)
class Sentence:
    """A sentence: text, and between it times in seconds or places, to which the reader can go."""

    parts: tuple[str | float | NamedTime, ...]

    @property
    def text(self) -> str:
        return "".join(map(_text, self.parts))


def placed(sentence: Sentence, place: Callable[[float], str | None]) -> Sentence:
    """The sentence with the name of its time (`At slide 14 (0:23:10)`), if `place` knows one.

    A stretch within one slide: `At slide 14, from 0:23:10 to 0:24:30`.
    """
    first, *rest = sentence.parts
    times = [each for each in rest if isinstance(each, float | int)]
    names = [place(each) for each in times]
    if not times or None in names or first not in ("At ", "From "):
        return sentence
    begin, *end = [NamedTime(t, name) for t, name in zip(times, names, strict=True) if name is not None]
    at = "In " if begin.words.startswith("“") else "At "
    if not end:
        return Sentence((at, begin, f" ({clock(begin.t)})", *rest[1:]))
    if end[0].words == begin.words:
        return Sentence((at, begin, ", from ", *rest))
    return Sentence((first, begin, rest[1], end[0], f" ({clock(begin.t)} to {clock(end[0].t)})", *rest[3:]))


def _text(part: str | float | NamedTime) -> str:
    return part.words if isinstance(part, NamedTime) else part if isinstance(part, str) else clock(part)


def sentences(
    timeline: Timeline,
    moments: Sequence[Moment],
    running: bool = False,
    place: Callable[[float], str | None] = lambda t: None,
) -> list[Sentence]:
    """The sentences about a lecture; `running` is whether it goes on, `place` names a time, if it can."""
    if not timeline.most_faces:
        return [nobody(timeline, running)]
    chosen = most_worth_watching(moments)
    about = [placed(sentence(each), place) for each in chosen]
    if too_little(timeline):
        return [unreadable(timeline), *about, in_view(timeline)]
    if not moments:
        return [as_a_whole(timeline), nothing_stood_out(timeline, running), in_view(timeline)]
    return [as_a_whole(timeline), *about, otherwise(moments, len(moments) - len(chosen))]


def too_little(timeline: Timeline) -> bool:
    """Whether too few faces can be read to say anything about expressions."""
    series = timeline.series
    return timeline.unreadable > MAX_UNREADABLE or float((series.read > 0).sum()) * series.step_s < MIN_READ_S


def nobody(timeline: Timeline, running: bool) -> Sentence:
    why = no_face(timeline, timeline.left_out)
    return Sentence((f"{why}{' until now' if running else ''}, so nothing can be said about this lecture.",))


def no_face(timeline: Timeline, left_out: Collection[object]) -> str:
    """Why the class of a lecture has no faces. `left_out` are those who do not count for the class."""
    if not timeline.analysed:
        return "No frame was analysed"
    return "Only people whom the roster leaves out were in view" if left_out else "No face was found in any frame"


def unreadable(timeline: Timeline) -> Sentence:
    if np.nansum(timeline.hidden * timeline.frames) > np.nansum(timeline.read * timeline.frames):
        return Sentence(("Too few people were in view to say how the class went: small groups stay hidden.",))
    if timeline.unreadable > MAX_UNREADABLE:
        why = f"{timeline.unreadable:.0%} of the faces were too small, turned away, too dark or too blurred"
    else:
        why = f"faces could be read in less than {MIN_READ_S:g} s"
    return Sentence((f"Too little can be read to say how the class went: {why}.",))


def as_a_whole(timeline: Timeline) -> Sentence:
    """What was displayed most in the whole lecture, or that nothing prevailed."""
    mean = timeline.mean_scores
    shares = [] if mean is None else sorted(zip(EMOTIONS, mean.tolist(), strict=True), key=lambda each: -each[1])
    named = [f"{emotion} ({share:.0%})" for emotion, share in shares[:MAX_NAMED] if share >= MIN_SHARE]
    if not named or shares[0][1] < PREVAILING:
        largest = f": the largest shares are {listed(named)}" if len(named) > 1 else ""
        return Sentence((f"On the whole, no expression prevailed{largest}.",))
    who = "the person" if len(timeline.participants) == 1 else "the class"
    then = f", then {listed(named[1:])}" if named[1:] else ""
    return Sentence((f"On the whole, {who} displayed mostly {named[0]}{then}.",))


def nothing_stood_out(timeline: Timeline, running: bool) -> Sentence:
    who = "the person" if len(timeline.participants) == 1 else "the class"
    until = "Until now nothing" if running else "Nothing"
    return Sentence((f"{until} stood out: at no time did {who} clearly display something other than usual.",))


def in_view(timeline: Timeline) -> Sentence:
    """How many were in view, and how many of their faces could not be read."""
    unread = f"; {timeline.unreadable:.0%} of the faces could not be read" if timeline.unreadable > UNWRITTEN else ""
    people = len(timeline.participants)
    of = f" of {people} people" if people > 1 else " faces"
    if people == 1:
        there = 1 - timeline.empty / timeline.analysed
        return Sentence((f"The person was in view for {there:.0%} of the time{unread}.",))
    return Sentence((f"On average {timeline.mean_faces:.1f}{of} were in view{unread}.",))


def otherwise(moments: Sequence[Moment], unnamed: int) -> Sentence:
    """The rest of the lecture, and how many moments have no sentence."""
    more = f"{unnamed} more moment{'s are' if unnamed > 1 else ' is'} in the list of moments. " if unnamed else ""
    if not any(each.emotions for each in moments):
        return Sentence((f"{more}What the class displayed did not change clearly at any time.",))
    return Sentence((f"{more}The rest of the time, the class displayed what it usually does.",))


def sentence(moment: Moment) -> Sentence:
    """A moment in a sentence."""
    if moment.kind == "stretch":
        start: tuple[str | float, ...] = ("From ", moment.begin, " to ", moment.end)
        return Sentence((*start, f", {_who(moment)} displayed {_what(moment)} than usual."))
    if moment.kind == "burst":
        length = f"{moment.end - moment.begin:.0f} s"
        return Sentence(("At ", moment.begin, f", {_who(moment)} displayed {_what(moment)} for {length}."))
    at_once = moment.end - moment.begin <= AT_ONCE_S
    when = ("At ", moment.begin) if at_once else ("From ", moment.begin, " to ", moment.end)
    if moment.kind == "departures":
        return Sentence((*when, f", {_who(moment)} left the picture and did not come back."))
    return Sentence((*when, f", {_who(moment)} came into the picture for the first time."))


def most_worth_watching(moments: Sequence[Moment]) -> list[Moment]:
    """The moments that get a sentence, in the order of time: stretches first, then who came and went, then bursts."""
    kinds = ("stretch", "departures", "arrivals", "burst")
    ranked = sorted(moments, key=lambda each: (kinds.index(each.kind), -each.size, each.begin))
    return sorted(ranked[:MAX_MOMENTS], key=lambda each: each.begin)


def _who(moment: Moment) -> str:
    if moment.kind in ("stretch", "burst"):
        if moment.people is None:
            return "the class"
        if moment.of == 1:
            return "the person"
    elif moment.people is None:
        return "several people"
    return f"{moment.people} of {moment.of} people"


def _what(moment: Moment) -> str:
    """Like "more anger and sadness": what rose. If nothing did, or much less than others fell, what fell."""
    least = NAMED_SHARE * max(map(abs, moment.emotions.values()))
    rose = [emotion for emotion, change in moment.emotions.items() if change >= least]
    if rose:
        return f"more {listed(rose)}"
    return f"less {listed([emotion for emotion, change in moment.emotions.items() if change <= -least])}"


def listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them: `anger, fear and sadness`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
