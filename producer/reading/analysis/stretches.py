"""Stretches: segments of at least 20 s in which the class displayed something other than its usual.

Change points are found by `ruptures` (PELT with a linear kernel: Killick, Fearnhead and Eckley, Optimal detection of
changepoints with a linear computational cost, 2012). Neighbouring segments that differ from the usual in the same way
form one stretch. It must be large enough to be worth watching, begin and end with a step (a slow drift does not), and
be larger than what chance makes.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import ruptures

from producer.reading.analysis.chance import MOST_P, Chance, sizes_of
from producer.reading.analysis.changes import Changes, Values, means_of
from producer.reading.analysis.moment import Moment
from producer.reading.analysis.people import by_size, people_in

MIN_S = 20.0

# The smallest share that must move from some emotions to others to be worth watching, by the number of people (up to),
# because single faces change all the time.
MIN_CHANGE = ((2, 0.2), (5, 0.16), (1000, 0.12))

# The smallest share of the people in view that must take part, likewise.
MIN_PEOPLE = ((3, 0.6), (5, 0.4), (1000, 0.3))

# Neighbours form one stretch if the cosine between their changes is larger, and the smaller is this part of the larger.
ALIKE, SIMILAR = 0.7, 0.5

# Segments are searched in at most this many steps, which costs little at any length; then their ends are made exact.
MAX_SEARCHED = 900

# The prices of a change point, in variances of a step, for each of seven emotions and the logarithm of the steps. Noise
# that lasts needs a higher one, or it cuts a stretch in pieces; a low one finds the short stretches.
PENALTIES = (0.4, 1.0, 2.5)

# Noise is measured between means over this many seconds, by the lower quartile of their steps: most of them are no
# change points. The lower quartile of a normal distribution's absolute values is this part of a standard deviation.
CALM_S = 10.0
QUARTILE = 0.3186

# Less noise is not believed.
LEAST_NOISE = 0.02

# At its begin and end, the class must change by at least this share of the change of the whole stretch, between
# EDGE_S before and after.
EDGE = 0.4
EDGE_S = 30.0


@dataclass
class Segment:
    """Steps [first, end), the mean change [7] of the class in them, and `people` of the `of` in view that took part."""

    first: int
    end: int
    change: Values
    people: int | None = None
    of: int | None = None


def candidates(changes: Changes) -> list[Segment]:
    """All that is long and large enough, and begins and ends with a step."""
    shortest = changes.steps(MIN_S)
    if changes.of_class.shape[1] < 2 * shortest:
        return []
    found: list[Segment] = []
    for penalty in PENALTIES:
        found += [_exact(changes, each) for each in _joined(changes, _segments(changes, penalty))]
    found = _apart([each for each in found if each.end - each.first >= shortest and _steps_up_and_down(changes, each)])
    outside = np.ones(changes.of_class.shape[1], bool)
    for each in found:
        outside[each.first : each.end] = False
    for each in found:
        each.people, each.of = people_in(changes, each.first, each.end, each.change, outside)
    return [each for each in found if each.of is None or (each.people or 0) >= limit(MIN_PEOPLE, each.of) * each.of]


def stretches(changes: Changes, candidates: list[Segment], chance: Chance) -> list[Moment]:
    """Those of the candidates that chance does not make, in the order of time."""
    found = []
    for each in candidates:
        p = chance.p_of_stretch(each.change, each.end - each.first)
        if p <= MOST_P:
            begin, end = changes.time(each.first), changes.time(each.end)
            found.append(Moment("stretch", begin, end, by_size(each.change), each.people, each.of, p))
    return found


def limit(limits: tuple[tuple[int, float], ...], people: float) -> float:
    """The limit for so many people."""
    return next(value for up_to, value in limits if people <= up_to)


def _segments(changes: Changes, price: float) -> list[Segment]:
    values = changes.of_class
    grain = _grain(changes)
    searched = means_of(values, grain)
    calm = changes.steps(CALM_S)
    steps = np.abs(np.diff(means_of(values, calm), axis=1))
    noise = np.quantile(steps, 0.25, axis=1) / QUARTILE / 2**0.5  # of a mean over CALM_S
    noise = np.maximum(noise, LEAST_NOISE) * (calm / grain) ** 0.5  # of a searched step
    scaled = (searched / noise[:, np.newaxis]).T
    shortest = max(2, round(MIN_S / 2 / changes.step_s / grain))
    penalty = price * 7 * np.log(len(scaled))
    ends = ruptures.KernelCPD(kernel="linear", min_size=shortest).fit(scaled).predict(pen=penalty)
    borders = [0, *(grain * end for end in ends[:-1]), values.shape[1]]
    return [_segment(changes, first, end) for first, end in pairwise(borders)]


def _grain(changes: Changes) -> int:
    """The steps that are searched as one."""
    return -(-changes.of_class.shape[1] // MAX_SEARCHED)


def _segment(changes: Changes, first: int, end: int) -> Segment:
    return Segment(first, end, changes.of_class[:, first:end].mean(axis=1))


def _joined(changes: Changes, segments: list[Segment]) -> list[Segment]:
    """The segments that differ from the usual, neighbours joined if they differ in the same way."""
    least = limit(MIN_CHANGE, changes.faces)
    joined: list[Segment] = []
    for segment in segments:
        if sizes_of(segment.change).max() < least:
            continue
        before = joined[-1] if joined else None
        if before is not None and before.end == segment.first and _alike(before.change, segment.change):
            joined[-1] = _segment(changes, before.first, segment.end)
        else:
            joined.append(segment)
    return joined


def _apart(segments: list[Segment]) -> list[Segment]:
    """Those that overlap with none that is larger, in the order of time."""
    chosen: list[Segment] = []
    for each in sorted(segments, key=lambda each: -float(sizes_of(each.change).max()) * (each.end - each.first) ** 0.5):
        if all(each.end <= other.first or other.end <= each.first for other in chosen):
            chosen.append(each)
    return sorted(chosen, key=lambda each: each.first)


def _alike(one: Values, other: Values) -> bool:
    """Whether two changes have the same direction and about the same size."""
    sizes = float(np.linalg.norm(one)), float(np.linalg.norm(other))
    return float(one @ other) > ALIKE * sizes[0] * sizes[1] and min(sizes) > SIMILAR * max(sizes)


def _exact(changes: Changes, segment: Segment) -> Segment:
    """The same with its ends where the class changes most."""
    along = segment.change / np.linalg.norm(segment.change) @ changes.of_class
    first = _steepest(changes, along, segment.first, 1) if segment.first else 0
    end = _steepest(changes, along, segment.end, -1) if segment.end < len(along) else segment.end
    return _segment(changes, first, end) if end > first else segment


def _steepest(changes: Changes, along: Values, near: int, sign: int) -> int:
    """The step near `near` at which `along` rises (1) or falls (-1) most, by the means before and after."""
    reach, side = changes.steps(3) + _grain(changes), changes.steps(10)
    best, at = -np.inf, near
    for step in range(max(1, near - reach), min(len(along) - 1, near + reach) + 1):
        rise = sign * (along[step : step + side].mean() - along[max(0, step - side) : step].mean())
        if rise > best:
            best, at = float(rise), step
    return at


def _steps_up_and_down(changes: Changes, segment: Segment) -> bool:
    """Whether it begins and ends with a step; the begin and the end of the lecture count as such."""
    along = segment.change / np.linalg.norm(segment.change) @ changes.of_class
    side, size = changes.steps(EDGE_S), float(np.linalg.norm(segment.change))
    for border, sign in ((segment.first, 1), (segment.end, -1)):
        if side <= border <= len(along) - side:
            step = sign * (along[border : border + side].mean() - along[border - side : border].mean())
            if step < EDGE * size:
                return False
    return True
