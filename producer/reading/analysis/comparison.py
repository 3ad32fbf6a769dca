"""What two lectures displayed, side by side: differences of shares, with intervals from resampling people.

The frames of a person are alike, so thousands of frames say little more than the number of people. Each draw gives
every person a random weight (Bayesian bootstrap; Rubin 1981), the same in all lectures where they were. The spread of
the draws is widened for few people, as Student's t is (Hesterberg, What Teachers Should Know About the Bootstrap,
2015), and the intervals of all expressions of a comparison hold together (max-t; Westfall and Young 1993). The errors
of the models are not part of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, ndtr, stdtrit

from producer.reading.analysis.timeline import CONFIDENCE_LEVEL, Array, Timeline
from worker.contract.messages import EMOTIONS

MIN_PEOPLE = 5
"""People that an interval needs. With fewer, one person decides."""

# A person counts if their face could be read in at least this share of the frames. Otherwise ids of passers-by and of
# false detections would count as people.
MIN_READ = 0.1

SMALLEST = 1e-6
"""Shares nearer to 0 or 1 have no log odds."""

CLEAR = 0.0005
"""An interval that ends nearer to zero would be shown with 0.0 as its end."""

EXACT = 1e-9
"""A smaller error is one of rounding: everybody differs by the same."""

DRAWS = 4000
SEED = 17
"""The same lectures always give the same intervals."""


@dataclass(frozen=True)
class Shares:
    """What was displayed in a lecture, or in a part of it.

    `mean` [7] are the mean shares over the faces of these `people` that could be read (of all faces, if nobody was read
    long enough or single participants are not known); None if there are none. `people` are keys, equal in two lectures
    for the same person; `scores` [people, 7] and `read` [people] are their sums of scores and their numbers of frames.
    """

    mean: Array | None
    people: tuple[str, ...]
    scores: Array
    read: Array

    @property
    def enough(self) -> bool:
        """Whether there are enough people for an interval."""
        return len(self.people) >= MIN_PEOPLE


@dataclass(frozen=True)
class Difference:
    """By how much the shares of one lecture are larger than those of another: [7], and the ends of the intervals."""

    shares: Array
    low: Array
    high: Array

    @property
    def certain(self) -> npt.NDArray[np.bool_]:
        """The emotions whose interval is on one side of zero, at least CLEAR away from it, [7]."""
        return (self.low > CLEAR) | (self.high < -CLEAR)


def shares(timeline: Timeline, keys: dict[str, str], within: npt.NDArray[np.bool_] | None = None) -> Shares:
    """The shares of a lecture, or of its steps `within` [bins]; `keys` is participant id -> key of the person."""
    steps = np.ones(timeline.bins, bool) if within is None else within
    least = max(MIN_READ * timeline.frames[steps].sum(), 1)
    found: dict[str, Array] = {}
    for each in timeline.participants:
        read = each.read[steps]
        sums = np.append(read @ np.nan_to_num(each.scores[steps]), read.sum())
        found[keys[each.id]] = found.get(keys[each.id], 0.0) + sums
    kept = {key: sums for key, sums in found.items() if sums[-1] >= least}
    if kept:
        table = np.array(list(kept.values()))
        scores, read = table[:, :-1], table[:, -1]
        return Shares(scores.sum(axis=0) / read.sum(), tuple(kept), scores, read)
    weights = np.nan_to_num(timeline.read[steps]) * timeline.frames[steps]
    mean = weights @ np.nan_to_num(timeline.scores[steps]) / weights.sum() if weights.any() else None
    return Shares(mean, (), np.zeros((0, len(EMOTIONS))), np.zeros(0))


def interval(each: Shares) -> tuple[Array, Array] | None:
    """The 95 % intervals of the shares of one lecture, each by itself: [7] and [7]; None with too few people.

    They are made on the scale of log odds, because small shares are spread unevenly, and never below zero.
    """
    if not each.enough or each.mean is None:
        return None
    (spread,) = _spreads([each])
    middle = np.clip(each.mean, SMALLEST, 1 - SMALLEST)
    half = stdtrit(_effective(each) - 1, (1 + CONFIDENCE_LEVEL) / 2) * spread.std(axis=0) / (middle * (1 - middle))
    return expit(logit(middle) - half), expit(logit(middle) + half)


def differences(pairs: Sequence[tuple[Shares, Shares]]) -> list[Difference]:
    """For each (one, other): by how much more `other` displayed. All must have enough people.

    All intervals, of all pairs, hold together in 95 % of the cases.
    """
    parts = [part for pair in pairs for part in pair]
    spreads = _spreads(parts)
    results, freedom = [], []
    for n, (one, other) in enumerate(pairs):
        before, after = spreads[2 * n], spreads[2 * n + 1]
        results.append(after - before)
        freedom.append(_freedom(one, other, before.var(axis=0), after.var(axis=0)))
    errors = np.array([each.std(axis=0) for each in results])  # [pairs, 7]
    scaled = np.abs(results) / np.maximum(errors, EXACT)[:, np.newaxis]
    farthest = np.where(errors[:, np.newaxis] > EXACT, scaled, 0.0).max(axis=(0, 2))
    beyond = 1 - ndtr(np.quantile(farthest, CONFIDENCE_LEVEL))  # as if there were very many people
    halves = stdtrit(np.array(freedom), 1 - beyond) * errors
    made = []
    for (one, other), half in zip(pairs, halves, strict=True):
        assert one.mean is not None
        assert other.mean is not None
        middle = other.mean - one.mean
        made.append(Difference(middle, middle - half, middle + half))
    return made


def _spreads(parts: Sequence[Shares]) -> list[Array]:
    """[draws, 7] for each part: by how much its shares differ from their middle if other people had been there."""
    people = sorted({person for part in parts for person in part.people})
    places = {person: n for n, person in enumerate(people)}
    weights = np.random.default_rng(SEED).standard_exponential((DRAWS, len(people)))
    spreads = []
    for part in parts:
        drawn = weights[:, [places[person] for person in part.people]]
        of_draws = (drawn @ part.scores) / (drawn @ part.read)[:, np.newaxis]
        n = _effective(part)
        # The spread between the weights is that of n + 1 people, and the spread between people misses one of them.
        spreads.append((of_draws - of_draws.mean(axis=0)) * np.sqrt((n + 1) / (n - 1)))
    return spreads


def _effective(part: Shares) -> float:
    """The number of people that count, if some were read longer than others (Kish 1965)."""
    return float(part.read.sum() ** 2 / (part.read**2).sum())


def _freedom(one: Shares, other: Shares, before: Array, after: Array) -> Array:
    """Degrees of freedom of each difference, [7], from the variances of both sides (Welch and Satterthwaite).

    If somebody was in both lectures, those of the smaller one.
    """
    fewer = np.array([_effective(one) - 1, _effective(other) - 1])
    if set(one.people) & set(other.people):
        return np.full(len(before), fewer.min())
    both = before**2 / fewer[0] + after**2 / fewer[1]
    return np.where(both > 0, (before + after) ** 2 / np.maximum(both, 1e-300), fewer.min())
