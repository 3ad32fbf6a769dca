"""Bursts: for a few seconds, the class displayed more of an emotion than just before and after, like a laugh.

All windows of 2 to 15 s are compared with the seconds on both sides of them. A burst lies where the two steps, up and
down, are steepest, is large, and is larger than what chance makes.
"""

from collections.abc import Iterator

import numpy as np

from producer.reading.analysis.chance import BESIDE_S, MOST_P, Chance, rises
from producer.reading.analysis.changes import Changes, Values
from producer.reading.analysis.moment import Moment
from producer.reading.analysis.people import by_size, people_in

LENGTHS_S = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15)

# The smallest rise of an emotion's share, and the smallest share of the people in view that must take part.
MIN_RISE = 0.2
MIN_PEOPLE = 0.4

# Fewer people are no class that laughs.
MIN_FACES = 3

# A burst this near to the begin or the end of a stretch is the step of the stretch.
NEAR_S = 15.0


def bursts(changes: Changes, chance: Chance, stretches: list[Moment]) -> list[Moment]:
    """All bursts, the largest first; none overlap."""
    if changes.faces < MIN_FACES:
        return []
    found: list[Moment] = []
    for rise, first, end in _largest(changes):
        begin, over = changes.time(first), changes.time(end)
        if any(begin < other.end + BESIDE_S and other.begin - BESIDE_S < over for other in found):
            continue
        if any(abs(begin - border) <= NEAR_S for each in stretches for border in (each.begin, each.end)):
            continue
        p = chance.p_of_burst(rise, end - first)
        if p > MOST_P:
            continue
        change = changes.of_class[:, first:end].mean(axis=1) - _beside(changes, first, end)
        outside = np.ones(changes.of_class.shape[1], bool)
        outside[first:end] = False
        people, of = people_in(changes, first, end, change, outside)
        if people is None or of is None or people >= max(2, MIN_PEOPLE * of):
            found.append(Moment("burst", begin, over, by_size(change), people, of, p))
    return found


def _largest(changes: Changes) -> Iterator[tuple[Values, int, int]]:
    """(rise [7], first step, end) of windows that may be bursts, the largest first."""
    beside, steps = changes.steps(BESIDE_S), changes.of_class.shape[1]
    values = np.pad(changes.of_class, ((0, 0), (beside, beside)), mode="edge")
    sizes = []
    for width in sorted({changes.steps(each) for each in LENGTHS_S}):
        if width < steps:
            rise = rises(values, width, beside)[:, beside : beside + steps - width + 1]
            # A wider window with the same mean is the better one.
            for first in np.flatnonzero(rise.max(axis=0) >= MIN_RISE):
                sizes.append((float(rise[:, first].max()) * width**0.5, int(first), width, rise[:, first]))
    for _, first, width, rise in sorted(sizes, key=lambda each: -each[0]):
        yield rise, first, first + width


def _beside(changes: Changes, first: int, end: int) -> Values:
    side = changes.steps(BESIDE_S)
    near = changes.of_class[:, max(0, first - side) : first], changes.of_class[:, end : end + side]
    return np.asarray(np.concatenate(near, axis=1).mean(axis=1))
