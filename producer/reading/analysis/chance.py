"""What chance makes of the same people: how large the largest change of a class is if they do not change together.

Everybody's own series is shifted by a random time, around its end to its beginning. So each person flickers, drifts and
is misread as before, but independently of the others. The largest change anywhere in such a lecture, over all emotions
and all lengths, is noted. The p of a moment is the share of shifted lectures with a larger one. So the search and the
number of comparisons are part of it (Westfall and Young, Resampling-based multiple testing, 1993).

One person has nobody to be independent of, and neither have two. Their series, or that of a class of unknown people, is
cut into pieces instead, which are put in a random order: does something last longer than flicker? If something short is
searched, it gets random phases at all frequencies instead (Theiler and others, Testing for nonlinearity in time series,
1992): does it change more abruptly than it usually flickers?
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from producer.reading.analysis.changes import Changes, Values

MOST_P = 0.01
"""A stretch or a burst with a larger p may be chance."""

ROUNDS = 199
SEED = 17

MIN_PEOPLE = 3
"""Fewer people are not shifted against each other."""

Sizes = npt.NDArray[np.float32]
"""Of the largest change of each length that is compared, [lengths]."""


class Chance:
    """The sizes that the largest changes have by chance."""

    def __init__(self, changes: Changes, largest: Callable[[Values], Sizes], piece_s: float | None) -> None:
        """`largest` measures a lecture [7, steps]. If people cannot be shifted, pieces of `piece_s` seconds
        are; None for random phases.
        """
        sizes = np.array([largest(each) for each in _lectures(changes, piece_s)])
        self._usual = np.maximum(np.median(sizes, axis=0), 1e-6)
        self._largest = (sizes / self._usual).max(axis=1)

    def p(self, row: int, size: float) -> float:
        """How probable a change of the length number `row` and of this size, or a rarer one, is anywhere."""
        return (1 + int((self._largest >= size / self._usual[row]).sum())) / (1 + len(self._largest))


def shiftable(changes: Changes) -> bool:
    """Whether there are people enough to be shifted against each other."""
    return int(changes.is_read.any(axis=1).sum()) >= MIN_PEOPLE


def _lectures(changes: Changes, piece_s: float | None) -> Iterator[Values]:
    """The series of the class, [7, steps], of ROUNDS lectures without any common change."""
    draws = np.random.default_rng(SEED)
    spans = [_span(each) for each in changes.is_read]
    shift = shiftable(changes)
    read = np.maximum(changes.is_read.sum(axis=0), 1).astype(np.float32)
    for _ in range(ROUNDS):
        total = np.zeros_like(changes.of_class)
        for own, (first, end) in zip(changes.own, spans, strict=True):
            if shift and end > first:
                by = int(draws.integers(end - first))
                total[:, first + by : end] += own[:, first : end - by]
                total[:, first : first + by] += own[:, end - by : end]
            elif piece_s is None:
                total += _rephased(draws, own)
            elif end > first:
                total[:, first:end] += own[:, first + _pieces(draws, end - first, changes.steps(piece_s))]
        yield total / read


def _span(seen: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """First step and end of all that is `seen`; (0, 0) if nothing is."""
    where = np.flatnonzero(seen)
    return (int(where[0]), int(where[-1]) + 1) if len(where) else (0, 0)


def _rephased(draws: np.random.Generator, own: Values) -> Values:
    waves = np.fft.rfft(own)
    turned = waves * np.exp(2j * np.pi * draws.random(waves.shape[1]))
    return np.asarray(np.fft.irfft(turned, own.shape[1]), np.float32)


def _pieces(draws: np.random.Generator, steps: int, length: int) -> npt.NDArray[np.int64]:
    """The numbers 0 to `steps`, in pieces of `length` (the first is shorter) in a random order."""
    cuts: Sequence[int] = np.arange(int(draws.integers(1, length + 1)), steps, length).tolist()
    pieces = np.split(np.arange(steps), cuts)
    return np.concatenate([pieces[n] for n in draws.permutation(len(pieces))])
