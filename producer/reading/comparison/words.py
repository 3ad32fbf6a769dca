"""The sentences of a comparison."""

from collections.abc import Sequence

import numpy as np

from producer.reading.analysis.comparison import Difference
from producer.reading.analysis.losses import loss_line
from producer.reading.analysis.sentences import listed
from producer.reading.comparison.lectures import Compared, Pair, reason
from worker.contract.messages import EMOTIONS

METHOD = (
    "A share is the mean over all faces of these people that could be read. A difference is in percentage points of a "
    "share. Its interval says how much it might differ if other people had been there: people get random weights, "
    "4,000 times, always with all of their frames. Frames alone are not drawn again, because those of one person are "
    "alike. The 95% intervals of all seven expressions and all lectures hold together. In the chart each interval "
    "stands for itself.",
    "Every lecture is compared with the first one. People are different people in different lectures, unless rosters "
    "give them the same name. A person whose face could be read in less than 10% of the frames does not count, and an "
    "interval needs 5 people.",
    "A difference does not show its cause. Other people, another room, light, camera or hour of the day change what is "
    "displayed, and how well it is read. The errors of the models are not part of the intervals.",
)

MINUS = "\N{MINUS SIGN}"


def sentence(pair: Pair) -> str:
    """What differs between two lectures, or that nothing can be concluded."""
    one, other = pair.one.id, pair.other.id
    if pair.difference is None:
        return f"Nothing can be concluded about {other} and {one}: {reason(pair)}."
    counts = len(pair.other.part(pair.title).people), len(pair.one.part(pair.title).people)
    people = f"{counts[0]} people against {counts[1]}{_in_both(pair)}."
    changes = _changes(pair.difference)
    if changes:
        return f"{other} displayed {listed(changes)} than {one}. {people}"
    if pair.difference.certain.any():
        return f"The differences between {other} and {one} are smaller than one point. {people}"
    return f"No difference between {other} and {one} can be concluded: all intervals include zero. {people}"


def difference_cells(difference: Difference | None, emotions: Sequence[str]) -> list[tuple[str, bool]]:
    """For each emotion, the difference with its interval in points, and whether it differs from zero."""
    if difference is None:
        return [("\N{EN DASH}", False)] * len(emotions)
    cells = []
    for emotion in emotions:
        n = EMOTIONS.index(emotion)
        middle, low, high = (_points(float(ends[n])) for ends in (difference.shares, difference.low, difference.high))
        cells.append((f"{middle} ({low} to {high})", bool(difference.certain[n])))
    return cells


def warnings(lectures: Sequence[Compared]) -> list[str]:
    """What a reader must know before the figures."""
    lines = []
    versions = {version for each in lectures for version in each.timeline.versions}
    if len(versions) > 1:
        lines.append("The lectures were read by different models. A difference may come from the models alone.")
    for each in lectures:
        if each.lecture.info.status == "running":
            lines.append(f"Lecture {each.id} is not over; it is shown up to now.")
        if each.losses:
            lines.append(f"Lecture {each.id} is incomplete: {loss_line(each.losses)}.")
    return lines


def _changes(difference: Difference) -> list[str]:
    """The expressions that differ by a point or more, the largest difference first."""
    words: list[str] = []
    for n in np.argsort(-np.abs(difference.shares)):
        size = round(100 * abs(float(difference.shares[n])))
        if difference.certain[n] and size:
            more = "more" if difference.shares[n] > 0 else "less"
            near, far = sorted(100 * abs(float(end[n])) for end in (difference.low, difference.high))
            first = "95% interval " if not words else ""
            interval = f"{first}{f'{near:.0f}' if near >= 0.5 else f'{near:.1f}'} to {far:.0f}"
            words.append(f"{size} point{'s' if size != 1 else ''} {more} {EMOTIONS[n]} ({interval})")
    return words


def _in_both(pair: Pair) -> str:
    both = set(pair.one.part(pair.title).people) & set(pair.other.part(pair.title).people)
    return f", {len(both)} of them in both" if both else ""


def _points(value: float) -> str:
    points = round(100 * value)
    return f"{'+' if points > 0 else MINUS if points < 0 else ''}{abs(points)}"
