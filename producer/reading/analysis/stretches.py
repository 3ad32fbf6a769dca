"""Stretches: segments of at least 20 s in which the class displayed something other than its usual.

All windows of 20 s up to half of the lecture are compared with the rest of it, for each emotion and each two of them.
The one that stands out most from the noise is a candidate. Its ends are made exact by `ruptures` (the two best change
points: Truong, Oudre and Vayatis, Selective review of offline change point detection methods, 2020). Then the search
goes on beside it. A stretch must be large enough to be worth watching, and larger than what chance makes.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt

from producer.reading.analysis.chance import MOST_P, Chance, Sizes, shiftable
from producer.reading.analysis.changes import Changes, Values, means_of
from producer.reading.analysis.moment import Moment
from producer.reading.analysis.people import by_size, people_in

MIN_S = 20.0

# The smallest share that must move from some emotions to others to be worth watching, by the number of people (up to),
# because single faces change all the time.
MIN_CHANGE = ((2, 0.2), (5, 0.16), (1000, 0.12))

# The smallest share of the people in view that must take part, likewise.
MIN_PEOPLE = ((3, 0.6), (5, 0.4), (1000, 0.3))

# Windows begin at every GRAIN_S, and each length is this many times the one before.
GRAIN_S = 5.0
LONGER = 2**0.5

# The noise of a class is that of the means of its people over this many seconds: longer than an expression is held.
NOISE_S = 20.0

# What stands out less, in standard deviations of the noise, is never larger than chance.
MIN_SIZE = 3.5
MAX_STRETCHES = 20

# A stretch of MIN_S may look shorter by this factor.
SHORTEST = 0.75

# Pieces of the series of a class of unknown people, and of few, of whom one may be misread for longer.
PIECE_S, PIECE_OF_FEW_S = 15.0, 60.0
FEW = 5

# The emotions that are taken together, [28, 7]: single ones, and each two of them.
TOGETHER = np.array(
    [[each in some for each in range(7)] for n in (1, 2) for some in combinations(range(7), n)], np.float32
)


@dataclass
class Candidate:
    """Steps [first, end) of a lecture. A window of widths[`row`] has the `size`, in deviations of the noise."""

    first: int
    end: int
    row: int
    size: float


class Search:
    """All windows of a lecture, in steps of about GRAIN_S."""

    def __init__(self, changes: Changes, bursts: list[tuple[int, int]]) -> None:
        """`bursts` are steps [first, end) that do not count."""
        self.changes = changes
        self.grain = changes.steps(GRAIN_S)
        self.coarse = changes.without(bursts).joined(self.grain)
        total = self.coarse.of_class.shape[1]
        shortest = max(1, round(MIN_S / self.coarse.step_s))
        lengths = shortest * LONGER ** np.arange(40)
        self.widths = sorted({round(each) for each in lengths if each <= total / 2})

    @cached_property
    def noise(self) -> Values:
        """The covariance [7, 7] of a coarse step of the class, if its people change independently of each other."""
        width = max(1, round(NOISE_S / self.coarse.step_s))
        read = np.maximum(means_of(self.coarse.is_read.astype(np.float32), width).sum(axis=0), 1e-6)
        means = means_of(self.coarse.own, width) / read
        people = np.einsum("pit,pjt->ij", means, means) / means.shape[2]
        return np.asarray(people * width + 1e-6 * np.eye(7), np.float32)

    @cached_property
    def deviation(self) -> Values:
        """[28]: the standard deviation of a coarse step of the class, of the emotions TOGETHER."""
        return np.asarray(np.sqrt(np.einsum("ki,ij,kj->k", TOGETHER, self.noise, TOGETHER)))

    def sizes(self, of_class: Values) -> list[Values]:
        """For each width the size [steps - width + 1] of each window, in standard deviations of the noise."""
        scaled = TOGETHER @ of_class / self.deviation[:, np.newaxis]
        sums = np.cumsum(np.pad(scaled, ((0, 0), (1, 0))), axis=1)
        total = scaled.shape[1]
        found = []
        for width in self.widths:
            inside = sums[:, width:] - sums[:, :-width]
            apart = np.abs(inside - sums[:, -1:] * (width / total)).max(axis=0)
            found.append(apart / (width * (1 - width / total)) ** 0.5)
        return found

    def largest(self, of_class: Values) -> Sizes:
        return np.array([each.max() for each in self.sizes(of_class)], np.float32)


def stretches(changes: Changes, bursts: list[Moment]) -> list[Moment]:
    """All stretches of a lecture with these bursts, in the order of time."""
    short = [changes.span(each.begin, each.end) for each in bursts]
    search = Search(changes, short)
    found = candidates(search)
    if not found:
        return []
    # With few people, one person who changes for some seconds looks like a change of the class. So their candidates
    # stay in the series that chance is computed from.
    common = [(each.first, each.end) for each in found] if shiftable(changes) or changes.faces > FEW else []
    rest = changes.without([*short, *common])
    chance = Chance(rest.joined(search.grain), search.largest, PIECE_S if changes.faces > FEW else PIECE_OF_FEW_S)
    outside = np.ones(changes.of_class.shape[1], bool)
    for each in found:
        outside[each.first : each.end] = False
    moments = [_moment(changes, each, outside, chance.p(each.row, each.size)) for each in found]
    return [each for each in moments if each.p <= MOST_P and _worth_watching(each, changes.faces)]


def candidates(search: Search) -> list[Candidate]:
    """What stands out most, and is not part of something that stands out more; in the order of time."""
    changes, grain = search.changes, search.grain
    found: list[Candidate] = []
    taken = np.zeros(search.coarse.of_class.shape[1] + 1)
    values = search.coarse.of_class.copy()
    while len(found) < MAX_STRETCHES and search.widths:
        before = np.concatenate([[0], np.cumsum(taken)])
        sizes = [
            np.where(before[width : width + len(each)] == before[: len(each)], each, 0)
            for width, each in zip(search.widths, search.sizes(values), strict=True)
        ]
        row = int(np.argmax([each.max() for each in sizes]))
        at, size = int(sizes[row].argmax()), float(sizes[row].max())
        if size < MIN_SIZE:
            break
        width = search.widths[row]
        free = np.flatnonzero(taken)
        low = max((each + 1 for each in free if each < at), default=0)
        high = min((each for each in free if each >= at + width), default=len(taken) - 1)
        low, high = max(low, at - max(width, 12)), min(high, at + width + max(width, 12))
        last = changes.of_class.shape[1] if high == len(taken) - 1 else high * grain
        first, end = exact(search, low * grain, last, at * grain, (at + width) * grain)
        found.append(Candidate(first, end, row, size))
        inner = slice(first // grain, -(-end // grain))
        values[:, inner] -= values[:, inner].mean(axis=1, keepdims=True)
        taken[inner] = 1
        taken[at : at + width] = 1
    return sorted(found, key=lambda each: each.first)


def exact(search: Search, low: int, high: int, first: int, end: int) -> tuple[int, int]:
    """The ends of a stretch between the steps `low` and `high` of a lecture, if it is about [first, end)."""
    values, shortest = search.changes.of_class, search.changes.steps(MIN_S / 2)
    most = np.abs(TOGETHER @ values[:, first:end].mean(axis=1) / search.deviation).argmax()
    # A stretch may begin or end with the lecture, or with another one. There it is compared with the usual.
    along = np.pad((TOGETHER[most] @ values)[low:high], shortest)
    import ruptures  # late: it takes as long to load as all the rest of a report

    found = ruptures.KernelCPD(kernel="linear", min_size=shortest).fit(along[:, np.newaxis]).predict(n_bkps=2)
    return max(low, low + found[0] - shortest), min(high, low + found[1] - shortest)


def _moment(changes: Changes, found: Candidate, outside: npt.NDArray[np.bool_], p: float) -> Moment:
    first, end = found.first, found.end
    if outside.sum() < changes.steps(MIN_S):  # stretches fill the lecture, so each is compared with all the rest of it
        outside = np.ones(len(outside), bool)
        outside[first:end] = False
    change = changes.of_class[:, first:end].mean(axis=1) - changes.of_class[:, outside].mean(axis=1)
    people, of = people_in(changes, first, end, change, outside)
    return Moment("stretch", changes.time(first), changes.time(end), by_size(change), people, of, p)


def _worth_watching(moment: Moment, faces: float) -> bool:
    """Whether it is long and large enough, and enough people take part."""
    if moment.end - moment.begin < SHORTEST * MIN_S or moment.changed < limit(MIN_CHANGE, faces):
        return False
    return moment.of is None or (moment.people or 0) >= limit(MIN_PEOPLE, moment.of) * moment.of


def limit(limits: tuple[tuple[int, float], ...], people: float) -> float:
    """The limit for this many people."""
    return next(value for up_to, value in limits if people <= up_to)
