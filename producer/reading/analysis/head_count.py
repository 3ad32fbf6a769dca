"""Arrivals and departures in a lecture without ids: from the number of faces alone.

Several people have left if there are fewer faces, and never as many again; they have arrived if there were never as
many before. Somebody who takes the place of another cannot be told from them.
"""

import math

import numpy as np
import numpy.typing as npt

from producer.reading.analysis.chance import ROUNDS
from producer.reading.analysis.coming_and_going import BORDER, MIN_GROUP, MIN_SHARE, MOST_P, TOGETHER_S
from producer.reading.analysis.moment import Kind, Moment
from producer.reading.analysis.timeline import Timeline

# Faces are counted by their median in pieces of this many seconds, because a face is missed in single frames.
PIECE_S = 20.0

# The number of faces may change by this much less than that of a group, because faces are missed.
MISSED = 0.4

# The length of the begin and of the end, when everybody comes and goes, is within these seconds.
BORDER_OF_CLASS_S = (40.0, 120.0)

Numbers = npt.NDArray[np.float64]


def head_count(timeline: Timeline) -> list[Moment]:
    """All arrivals and departures, in the order of time."""
    series = timeline.series
    there = np.flatnonzero(series.frames > 0)
    width = max(1, round(PIECE_S / series.step_s))
    faces = series.faces[there].astype(float)
    pieces = len(faces) // width
    border = int(np.ceil(np.clip(BORDER * len(there) * series.step_s, *BORDER_OF_CLASS_S) / PIECE_S))
    if pieces < 2 * border + 2:
        return []
    counts = np.median(faces[: pieces * width].reshape(pieces, width), axis=1)
    times = there * series.step_s
    left = _moments("departures", times, faces, counts, width, border)
    # Arrivals are departures, seen from the end.
    came = _moments("arrivals", -times[::-1], faces[::-1], counts[::-1], width, border)
    back = [Moment("arrivals", -each.end, -each.begin, {}, each.people, each.of, each.p) for each in came]
    return sorted([*left, *back], key=lambda each: each.begin)


def _moments(kind: Kind, times: Numbers, faces: Numbers, counts: Numbers, width: int, border: int) -> list[Moment]:
    losses = _losses(counts, border)
    found = []
    for at in _peaks(losses):
        before = float(np.median(counts[at - 3 : at]))
        if losses[at] < max(MIN_GROUP, MIN_SHARE * before) - MISSED:
            continue
        p = _p(len(counts), at, int((counts > before - losses[at]).sum()))
        near = slice(max(0, (at - 2) * width), (at + 2) * width)
        full = np.flatnonzero(faces[near] > before - 0.5)
        more = np.flatnonzero(faces[near] > before - losses[at] + 0.5)
        first, last = (float(times[near][each[-1]]) if len(each) else float(times[at * width]) for each in (full, more))
        if p <= MOST_P and last - first <= TOGETHER_S:
            found.append(Moment(kind, first, max(first, last), {}, round(losses[at]), round(before), p))
    return found


def _losses(counts: Numbers, border: int) -> Numbers:
    """For each piece, how many faces fewer there are from it on than in the three before; never as many again. [pieces]

    Zero if nobody is left: then a slide fills the picture, or the lecture is over.
    """
    most = np.maximum.accumulate(counts[::-1])[::-1]
    losses = np.zeros(len(counts))
    inner = slice(max(3, border), len(counts) - border + 1)
    before = np.median(np.lib.stride_tricks.sliding_window_view(counts, 3), axis=1)[:-1]
    losses[3:] = np.where(most[3:] > 0, before - most[3:], 0)
    losses[: inner.start] = losses[inner.stop :] = 0
    return losses


def _p(pieces: int, at: int, more: int) -> float:
    """How probable it is that chance puts all of the pieces with `more` faces before one of the borders, if any."""
    one = math.comb(at, more) / math.comb(pieces, more) if more <= at else 1.0
    return min(1.0, max(pieces * one, 1 / (1 + ROUNDS)))


def _peaks(losses: Numbers) -> list[int]:
    """The largest losses, the others three pieces away at least."""
    found: list[int] = []
    for at in np.argsort(-losses, kind="stable").tolist():
        if losses[at] > 0 and all(abs(at - other) >= 3 for other in found):
            found.append(at)
    return sorted(found)
