"""A person's usual: the median of their own scores over a lecture. Pure.

A median needs all values. So the scores are counted in bins, 672 bytes for each person, and the median is interpolated
inside its bin. Worker and producer count alike, so an end event and a report give the same median.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from worker.contract.messages import EMOTIONS, Scores

_BINS = 24

# The edges of the bins. They are closest near 0 and 1, where most scores are (0.004 apart, and 0.065 in the middle).
_EDGES = np.sin(np.linspace(0, np.pi / 2, _BINS + 1)) ** 2

_DIGITS = 4

Counts = npt.NDArray[np.uint32]
"""How many scores of each emotion lie in each bin, [7, bins]."""


def counted(before: bytes, scores: npt.ArrayLike) -> bytes:
    """The counts `before` (empty for none) and those of more `scores`, [n, 7] in the order of EMOTIONS; n may be 0."""
    counts = _counts(before)
    values = np.asarray(scores, float).reshape(-1, len(EMOTIONS))
    bins = np.searchsorted(_EDGES[1:-1], values, side="right") + _BINS * np.arange(len(EMOTIONS))
    counts += np.bincount(bins.ravel(), minlength=counts.size).astype(np.uint32).reshape(counts.shape)
    return counts.astype("<u4").tobytes()


def usual(counts: bytes) -> Scores | None:
    """The median of the counted scores of each emotion; None if there are none. They need not add up to one."""
    table = _counts(counts)
    if not table.any():
        return None
    reached = np.cumsum(table, axis=1)
    half = reached[:, -1:] / 2
    at = (reached < half).sum(axis=1)
    rows = np.arange(len(EMOTIONS))
    below = reached[rows, at] - table[rows, at]
    part = (half[:, 0] - below) / table[rows, at]
    medians = _EDGES[at] + part * (_EDGES[at + 1] - _EDGES[at])
    return {emotion: round(float(each), _DIGITS) for emotion, each in zip(EMOTIONS, medians, strict=True)}


def change(scores: Scores, from_usual: Scores) -> Scores:
    """Emotion -> how much larger its share is than usual, -1 to 1."""
    return {emotion: round(scores[emotion] - from_usual[emotion], _DIGITS) for emotion in EMOTIONS}


def mean_of(several: Sequence[Scores]) -> Scores | None:
    """The mean of the usuals of several people, or of their changes; None if there are none."""
    if not several:
        return None
    return {emotion: round(sum(each[emotion] for each in several) / len(several), _DIGITS) for emotion in EMOTIONS}


def _counts(stored: bytes) -> Counts:
    """ValueError if these are no counts."""
    if not stored:
        return np.zeros((len(EMOTIONS), _BINS), np.uint32)
    return np.frombuffer(stored, "<u4").reshape(len(EMOTIONS), _BINS).astype(np.uint32)
