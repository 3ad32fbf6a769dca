"""Moments worth looking at: where what a class displayed changed most.

At every step of the timeline, the participants seen both before and after it are compared with themselves, so that
somebody who comes or goes is no change of expression. Looked for are short changes and lasting ones
(BEFORE_AND_AFTER_S). A moment has to be large enough to be worth a look, and to stand out from how much the class
changes, or the models flicker, anyway. None lies within a look of another. Where none stands out of a class that
changes all the time, the few largest are told all the same, and that they do not.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d

from producer.reading.analysis.timeline import Array, Timeline
from worker.contract.messages import EMOTIONS

# A burst of laughter lasts some seconds, a new topic minutes: both are looked for, in seconds before and after.
BEFORE_AND_AFTER_S = (10.0, 60.0)

# What changes less, in share of one expression, nobody would go and look at.
LEAST_CHANGE = 0.12

# Without several participants to compare it takes more: one face changes all the time.
LEAST_CHANGE_OF_FEW = 0.25
FEW = 3

# A change of an expression stands out if it is so many times as large as what a quarter of the lecture's steps stay
# below for it. Of flicker that is normally distributed this is five standard deviations (the quartile of its absolute
# value is 0.32 of them); and a quarter of the steps is quiet, however many moments there are.
STANDS_OUT = 16.0

# What does not stand out has to be larger still to be worth a look: chance alone makes changes of LEAST_CHANGE.
LEAST_AMONG_OTHERS = 0.2
LEAST_AMONG_OTHERS_OF_FEW = 0.4
MOST_AMONG_OTHERS = 3

# Who is seen in less of a look than this is not compared in it.
LEAST_SEEN = 0.5

# A change is one of the class only if this share of those who are usually there was compared.
LEAST_OF_CLASS = 0.4

MOST_MOMENTS = 8

# Changes of single emotions below this, and more of them, are not worth a word.
LEAST_NAMED = 0.05
MOST_NAMED = 3


@dataclass(frozen=True)
class Moment:
    """A change at `t` seconds of media time.

    `change` is emotion -> change of its share, -1 to 1, the largest first; `size`, 0 to 1, is the
    largest that stands out. `look_s` is how many seconds before were compared with as many after, `compared` counts the
    participants seen in both; None where only the class is known. `stands_out` is false for all moments of a lecture
    in which none does.
    """

    t: float
    size: float
    change: dict[str, float]
    look_s: float
    compared: int | None
    stands_out: bool = True


def moments(timeline: Timeline, most: int = MOST_MOMENTS) -> list[Moment]:
    """The `most` largest changes of a lecture, in the order of time."""
    return _chosen(timeline, True, most) or _chosen(timeline, False, min(most, MOST_AMONG_OTHERS))


def _chosen(timeline: Timeline, standing_out: bool, most: int) -> list[Moment]:
    candidates = [moment for look_s in BEFORE_AND_AFTER_S for moment in _candidates(timeline, look_s, standing_out)]
    chosen: list[Moment] = []
    for moment in sorted(candidates, key=lambda each: (-each.size, each.t)):
        if len(chosen) == most:
            break
        if all(abs(moment.t - other.t) > max(moment.look_s, other.look_s) for other in chosen):
            chosen.append(moment)
    return sorted(chosen, key=lambda each: each.t)


def in_words(moment: Moment) -> str:
    """What changed, as `happiness up 31 points, neutral down 25`."""
    largest = list(moment.change.items())[:MOST_NAMED]
    named = [item for item in largest if abs(item[1]) >= LEAST_NAMED] or largest[:1]
    words = [f"{emotion} {'up' if change > 0 else 'down'} {100 * abs(change):.0f}" for emotion, change in named]
    return ", ".join([f"{words[0]} points", *words[1:]])


def _candidates(timeline: Timeline, look_s: float, standing_out: bool) -> list[Moment]:
    """The changes that are large enough, and larger than all others within a look."""
    look = max(2, round(look_s / timeline.bin_s))
    if timeline.bins < 2 * look:
        return []
    looked_at = _before_and_after(timeline.frames, look)
    counts, scores, usual = _people(timeline) if timeline.participants else _class_alone(timeline)
    seen = _before_and_after(counts, look)
    sums = _before_and_after(np.nan_to_num(scores) * counts, look)
    compared = ((seen > 0) & (seen >= LEAST_SEEN * looked_at[:, np.newaxis])).all(axis=0)
    means = sums / np.maximum(seen, 1)[:, np.newaxis]
    of_each = np.where(compared, means[1] - means[0], 0.0)  # [7, participants, steps]
    n = compared.sum(axis=0)
    change = of_each.sum(axis=1) / np.maximum(n, 1)
    several = (n >= FEW) & bool(timeline.participants)
    if standing_out:
        flicker = np.quantile(np.abs(change), 0.25, axis=1, keepdims=True)
        least = np.maximum(np.where(several, LEAST_CHANGE, LEAST_CHANGE_OF_FEW), STANDS_OUT * flicker)
    else:
        least = np.where(several, LEAST_AMONG_OTHERS, LEAST_AMONG_OTHERS_OF_FEW)
    size = np.where(np.abs(change) >= least, np.abs(change), 0.0).max(axis=0)
    peaks = (size > 0) & (size == maximum_filter1d(size, 2 * look + 1)) & (n >= LEAST_OF_CLASS * usual)
    return [
        Moment(
            t=float((step + look) * timeline.bin_s),
            size=float(size[step]),
            change=_by_size(change[:, step]),
            look_s=look * timeline.bin_s,
            compared=int(n[step]) if timeline.participants else None,
            stands_out=standing_out,
        )
        for step in np.flatnonzero(peaks)
    ]


def _people(timeline: Timeline) -> tuple[Array, Array, float]:
    """Sightings [participants, bins], scores [7, participants, bins], how many participants a step usually shows."""
    counts = np.stack([each.sightings for each in timeline.participants])
    scores = np.stack([each.scores.T for each in timeline.participants], axis=1)
    present = (counts > 0).sum(axis=0)[timeline.frames > 0]
    return counts, scores, float(present.mean()) if present.size else 0.0


def _class_alone(timeline: Timeline) -> tuple[Array, Array, float]:
    """The same where nothing is known of participants: the class as one."""
    counts = np.nan_to_num(timeline.faces) * timeline.frames
    return counts[np.newaxis], timeline.scores.T[:, np.newaxis], 1.0


def _before_and_after(values: Array, look: int) -> Array:
    """[2, ..., steps] sums of `values` [..., bins] over the `look` steps before and after each that has so many."""
    sums = np.cumsum(np.concatenate([np.zeros((*values.shape[:-1], 1)), values], axis=-1), axis=-1)
    over = sums[..., look:] - sums[..., :-look]
    return np.stack([over[..., :-look], over[..., look:]])


def _by_size(change: Array) -> dict[str, float]:
    named = zip(EMOTIONS, change.tolist(), strict=True)
    return dict(sorted(named, key=lambda item: (-round(abs(item[1]), 3), -item[1])))
