"""Bursts: for a few seconds, the class displayed more of an emotion than just before and after, like a laugh.

A burst begins and ends with a step. All windows of 2 to 10 s are measured by both: the differences between the means
over BESIDE_S before and after. The steepest lies where the steps are. More neutral faces are no burst.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np

from producer.reading.analysis.chance import MOST_P, Chance, Sizes
from producer.reading.analysis.changes import Changes, Values
from producer.reading.analysis.moment import Moment
from producer.reading.analysis.people import by_size, people_in
from worker.contract.messages import EMOTIONS

LENGTHS_S = (2, 3, 4, 5, 6, 7, 8, 9, 10)

BESIDE_S = 3.0

EXPRESSIONS = [number for number, emotion in enumerate(EMOTIONS) if emotion != "neutral"]

# The smallest steps of an emotion's share up and down, and the smallest share of the people in view that take part.
MIN_STEP = 0.2
MIN_PEOPLE = 0.4
MIN_STEP_OF_UNKNOWN = 0.4  # then nobody knows how many take part

# Fewer people are no class that laughs.
MIN_FACES, MIN_FACES_OF_UNKNOWN = 3, 6

# Bursts are this far apart at least.
APART_S = 12.0


def bursts(changes: Changes) -> list[Moment]:
    """All bursts, the largest first; none overlap."""
    if changes.faces < (MIN_FACES if changes.people_known else MIN_FACES_OF_UNKNOWN):
        return []
    widths = sorted({changes.steps(each) for each in LENGTHS_S})
    beside = changes.steps(BESIDE_S)
    chance: Chance | None = None
    found: list[Moment] = []
    for size, row, first in _largest(changes.of_class, widths, beside):
        if not changes.people_known and size < MIN_STEP_OF_UNKNOWN:
            break
        end = first + widths[row]
        begin, over = changes.time(first), changes.time(end)
        if any(begin < other.end + APART_S and other.begin - APART_S < over for other in found):
            continue
        if chance is None:
            chance = Chance(changes, partial(_most, widths=widths, beside=beside), None)
        p = chance.p(row, size)
        if p > MOST_P:
            continue
        change = changes.of_class[:, first:end].mean(axis=1) - _around(changes, first, end)
        outside = np.ones(changes.of_class.shape[1], bool)
        outside[first:end] = False
        people, of = people_in(changes, first, end, change, outside)
        if people is None or of is None or people >= max(2, MIN_PEOPLE * of):
            found.append(Moment("burst", begin, over, by_size(change), people, of, p))
    return found


def _largest(of_class: Values, widths: list[int], beside: int) -> Iterator[tuple[float, int, int]]:
    """(size, number of the width, first step) of windows that may be bursts, the largest first."""
    sizes = []
    for row, each in enumerate(_sizes(of_class, widths, beside)):
        sizes += [(float(each[first]), row, int(first)) for first in np.flatnonzero(each >= MIN_STEP)]
    yield from sorted(sizes, key=lambda each: -each[0])


def _sizes(of_class: Values, widths: list[int], beside: int) -> list[Sizes]:
    """For each width the smaller one of the two steps of each window, the largest of all emotions; [steps - width]."""
    padded = np.pad(of_class[EXPRESSIONS], ((0, 0), (beside, beside)), mode="edge")
    sums = np.cumsum(np.pad(padded, ((0, 0), (1, 0))), axis=1)
    found = []
    for width in widths:
        side = min(width, beside)
        means = (sums[:, side:] - sums[:, :-side]) / side
        step = (means[:, side:] - means[:, :-side])[:, beside - side : beside - side + of_class.shape[1] + 1]
        up, down = step[:, :-width], -step[:, width:]
        found.append(np.minimum(up, down).max(axis=0))
    return found


def _most(of_class: Values, widths: list[int], beside: int) -> Sizes:
    """The largest size of each width, [widths]; 0 for a width that is longer than the lecture."""
    return np.array([each.max(initial=0) for each in _sizes(of_class, widths, beside)], np.float32)


def _around(changes: Changes, first: int, end: int) -> Values:
    side = changes.steps(APART_S)
    near = changes.of_class[:, max(0, first - side) : first], changes.of_class[:, end : end + side]
    return np.asarray(np.concatenate(near, axis=1).mean(axis=1))
