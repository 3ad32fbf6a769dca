"""What chance makes of the same people: how large the largest change of a class is if they do not change together.

Everybody's own series is shifted by a random time, around its end to its beginning. So each person flickers, drifts and
is misread as before, but independently of the others. The largest change anywhere in such a lecture, over all emotions
and all lengths, is noted. The p of a moment is the share of shifted lectures with a larger one. So the search and the
number of comparisons are part of it (Westfall and Young, Resampling-based multiple testing, 1993).

One person has nobody to be independent of, and neither have two. Their series, or that of a class of unknown people, is
cut into pieces instead, which are put in a random order: does something last longer than flicker?
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from producer.reading.analysis.changes import Changes, Values

MOST_P = 0.01
"""A moment with a larger p may be chance."""

ROUNDS = 199
SEED = 17

MIN_PEOPLE = 3
"""Fewer people are not shifted against each other."""

STRETCH_S = (20, 40, 80, 160, 320, 640, 1280)
"""Lengths of stretches that are compared. One in between is compared with the next shorter."""

BURST_S = (2, 4, 8, 15)
"""Lengths of bursts that are compared, likewise."""

BESIDE_S = 12.0
"""Seconds on each side of a burst that it is compared with."""

# Pieces of the series of a class of unknown people, shorter than a stretch; and of one person or two, who may be
# misread for longer than that.
PIECE_S, PIECE_OF_FEW_S = 15.0, 30.0
SHORT_PIECE_S = 2.0  # for bursts

Sizes = npt.NDArray[np.float32]


class Chance:
    """The sizes that changes have by chance. Nothing is computed before it is needed."""

    def __init__(self, changes: Changes, spans: Sequence[tuple[int, int]]) -> None:
        """`spans` are the steps [first, end) of what may be stretches.

        What the class has in common there is not chance if they are, so it is taken away from everybody first.
        """
        own = changes.own.copy()
        for first, end in spans:
            common = changes.of_class[:, first:end].mean(axis=1)
            own[:, :, first:end] -= common[:, np.newaxis] * changes.is_read[:, np.newaxis, first:end]
        self._given = changes
        self._changes = replace(changes, own=own)
        self._shifted: list[Values] | None = None
        total = changes.of_class.shape[1]
        self._short_widths = sorted({changes.steps(each) for each in BURST_S})
        widths = {changes.steps(each) for each in STRETCH_S}
        self._widths = sorted(each for each in widths if each <= total // 2) or [max(1, total // 2)]

    def p_of_stretch(self, change: Values, steps: int) -> float:
        """`change` [7] is the mean change of the class over so many steps."""
        row = max(0, int(np.searchsorted(self._widths, steps, side="right")) - 1)
        usual, largest = self._stretches
        size = float((sizes_of(change) / usual[row]).max())
        return (1 + int((largest >= size).sum())) / (1 + len(largest))

    def p_of_burst(self, rise: Values, steps: int) -> float:
        """`rise` [7] is that of the class over so many steps, against both sides (`rises`)."""
        row = max(0, int(np.searchsorted(self._short_widths, steps, side="right")) - 1)
        usual, largest = self._bursts
        size = float((rise / usual[row]).max())
        return (1 + int((largest >= size).sum())) / (1 + len(largest))

    @cached_property
    def _bursts(self) -> tuple[Sizes, Sizes]:
        beside = self._changes.steps(BESIDE_S)
        lectures = self._lectures(SHORT_PIECE_S)
        return normalized([[rises(each, w, beside).max(axis=1) for w in self._short_widths] for each in lectures])

    @cached_property
    def _stretches(self) -> tuple[Sizes, Sizes]:
        piece_s = PIECE_S if self._changes.faces >= MIN_PEOPLE else PIECE_OF_FEW_S
        return normalized([largest_means(each, self._widths) for each in self._lectures(piece_s)])

    def _lectures(self, piece_s: float) -> Iterable[Values]:
        spans = [_span(each) for each in self._changes.is_read]
        if sum(end > first for first, end in spans) < MIN_PEOPLE:
            return in_pieces(self._given, spans, piece_s)
        if self._shifted is None:
            self._shifted = list(shifted(self._changes, spans))
        return self._shifted


def normalized(by_round: Sequence[Sizes | list[Sizes]]) -> tuple[Sizes, Sizes]:
    """From sizes [rounds, widths, n]: the median over the rounds, and the largest of each round in those medians."""
    sizes = np.array(by_round, np.float32)
    usual = np.maximum(np.median(sizes, axis=0), 1e-4)
    return usual, (sizes / usual).max(axis=(1, 2))


def shifted(changes: Changes, spans: Sequence[tuple[int, int]]) -> Iterator[Values]:
    """The series of the class, [7, steps], of lectures in which everybody's series begins at a random time.

    `spans` are the steps [first, end) in which each person was there.
    """
    random = np.random.default_rng(SEED)
    read = np.maximum(changes.is_read.sum(axis=0), 1).astype(np.float32)
    for _ in range(ROUNDS):
        total = np.zeros_like(changes.of_class)
        for own, (first, end) in zip(changes.own, spans, strict=True):
            if end > first:
                shift = int(random.integers(end - first))
                total[:, first + shift : end] += own[:, first : end - shift]
                total[:, first : first + shift] += own[:, end - shift : end]
        total /= read
        total -= changes.base[:, np.newaxis]
        yield total


def in_pieces(changes: Changes, spans: Sequence[tuple[int, int]], piece_s: float) -> Iterator[Values]:
    """The same of lectures in which everybody's series is cut into pieces, which are put in a random order."""
    random = np.random.default_rng(SEED)
    read = np.maximum(changes.is_read.sum(axis=0), 1).astype(np.float32)
    for _ in range(ROUNDS):
        total = np.zeros_like(changes.of_class)
        for own, (first, end) in zip(changes.own, spans, strict=True):
            if end > first:
                total[:, first:end] += own[:, first + _pieces(random, end - first, changes.steps(piece_s))]
        yield total / read - changes.base[:, np.newaxis]


def _pieces(random: np.random.Generator, steps: int, length: int) -> npt.NDArray[np.int64]:
    """The numbers 0 to `steps`, in pieces of `length` (the first is shorter) in a random order."""
    cuts = np.arange(int(random.integers(1, length + 1)), steps, length)
    pieces = np.split(np.arange(steps), cuts)
    return np.concatenate([pieces[n] for n in random.permutation(len(pieces))])


def largest_means(values: Values, widths: list[int]) -> Sizes:
    """[widths, 8]: the largest `sizes_of` the mean over so many steps anywhere in `values` [7, steps]."""
    sums = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1, dtype=np.float64)
    return np.array([sizes_of(sums[:, w:] - sums[:, :-w]).max(axis=1) / w for w in widths], np.float32)


def sizes_of(change: Values) -> Sizes:
    """[8, ...]: how much each emotion changed, up or down, and the share that moved from one to another in all."""
    each = np.abs(change)
    return np.concatenate([each, each.sum(axis=0, keepdims=True) / 2])


def rises(values: Values, width: int, beside: int) -> Sizes:
    """[7, steps - width + 1]: how much larger the mean over the `width` steps from each one on is than that of the
    `beside` steps before and after, the larger of the two; zero where these are not complete."""
    sums = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1, dtype=np.float64)
    means = (sums[:, width:] - sums[:, :-width]) / width
    sides = (sums[:, beside:] - sums[:, :-beside]) / beside
    found = np.zeros(means.shape, np.float32)
    inner = slice(beside, means.shape[1] - beside)
    before = sides[:, : means.shape[1] - 2 * beside]
    after = sides[:, beside + width : beside + width + before.shape[1]]
    found[:, inner] = np.maximum(means[:, inner] - np.maximum(before, after), 0)
    return found


def _span(seen: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """First step and end of all that is `seen`; (0, 0) if nothing is."""
    where = np.flatnonzero(seen)
    return (int(where[0]), int(where[-1]) + 1) if len(where) else (0, 0)
