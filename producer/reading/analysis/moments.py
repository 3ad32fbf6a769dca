"""Moments worth watching: the times where the expressions that a class displayed changed most.

At every step of the timeline, each participant's mean scores before and after it are compared, for those who were seen
in both windows. So a participant who comes or goes does not count as a change of expression. Faces that cannot be
read do not count at all. A moment must be large enough to be worth watching, and stand out from the usual changes of
the class and the flicker of the models. No moment is within the window of another. If a class changes all the time and
nothing stands out, the few largest changes are given and marked so.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d

from producer.reading.analysis.timeline import Array, Timeline
from worker.contract.messages import EMOTIONS

WINDOWS_S = (10.0, 60.0)
"""Seconds before and after a step. A laugh lasts seconds, a new topic minutes; both are searched for."""

# The smallest change of an emotion's share that is worth watching. With fewer than FEW participants it must be larger,
# because a single face changes all the time.
MIN_CHANGE = 0.12
MIN_CHANGE_OF_FEW = 0.25
FEW = 3

# A change stands out if it is this many times as large as the lower quartile of all changes of that emotion in the
# lecture. If the flicker is normally distributed, that is five standard deviations (the quartile is 0.32 of one). The
# lower quartile is used because a quarter of the steps is quiet even in a lecture with many moments.
STANDS_OUT = 16.0

# If nothing stands out, a moment must be this large, because chance alone makes changes of MIN_CHANGE.
MIN_CHANGE_OF_RESTLESS = 0.2
MIN_CHANGE_OF_RESTLESS_FEW = 0.4
MAX_MOMENTS_OF_RESTLESS = 3

# A participant is compared if their face could be read in at least this share of both windows.
MIN_SEEN = 0.5

# A change counts for the class if at least this share of the usual number of participants was compared.
MIN_OF_CLASS = 0.4

MAX_MOMENTS = 8

# Words name at most this many emotions, and leave out smaller changes.
MAX_NAMED = 3
MIN_NAMED = 0.05


@dataclass(frozen=True)
class Moment:
    """A change at `t` seconds of media time.

    `change` is emotion -> change of its share, -1 to 1, the largest first. `size`, 0 to 1, is the largest change that
    stands out. `window_s` is the length of both windows in seconds. `compared` counts the participants seen in both;
    None if only the class is known. If nothing in a lecture stands out, `stands_out` is false for all its moments.
    """

    t: float
    size: float
    change: dict[str, float]
    window_s: float
    compared: int | None
    stands_out: bool = True


def moments(timeline: Timeline, limit: int = MAX_MOMENTS) -> list[Moment]:
    """The largest changes of a lecture, at most `limit`, in the order of time."""
    return _chosen(timeline, True, limit) or _chosen(timeline, False, min(limit, MAX_MOMENTS_OF_RESTLESS))


def _chosen(timeline: Timeline, standing_out: bool, limit: int) -> list[Moment]:
    candidates = [moment for window_s in WINDOWS_S for moment in _candidates(timeline, window_s, standing_out)]
    chosen: list[Moment] = []
    for moment in sorted(candidates, key=lambda each: (-each.size, each.t)):
        if len(chosen) == limit:
            break
        if all(abs(moment.t - other.t) > max(moment.window_s, other.window_s) for other in chosen):
            chosen.append(moment)
    return sorted(chosen, key=lambda each: each.t)


def in_words(moment: Moment) -> str:
    """The change in words, like `happiness up 31 points, neutral down 25`."""
    largest = list(moment.change.items())[:MAX_NAMED]
    named = [item for item in largest if abs(item[1]) >= MIN_NAMED] or largest[:1]
    words = [f"{emotion} {'up' if change > 0 else 'down'} {100 * abs(change):.0f}" for emotion, change in named]
    return ", ".join([f"{words[0]} points", *words[1:]])


def _candidates(timeline: Timeline, window_s: float, standing_out: bool) -> list[Moment]:
    """The changes that are large enough, and the largest within a window."""
    window = max(2, round(window_s / timeline.bin_s))
    if timeline.bins < 2 * window:
        return []
    frames = _before_and_after(timeline.frames, window)
    counts, scores, usual = _people(timeline) if timeline.participants else _class_alone(timeline)
    seen = _before_and_after(counts, window)
    sums = _before_and_after(np.nan_to_num(scores) * counts, window)
    compared = ((seen > 0) & (seen >= MIN_SEEN * frames[:, np.newaxis])).all(axis=0)
    means = sums / np.maximum(seen, 1)[:, np.newaxis]
    changes = np.where(compared, means[1] - means[0], 0.0)  # [7, participants, steps]
    n = compared.sum(axis=0)
    change = changes.sum(axis=1) / np.maximum(n, 1)
    several = (n >= FEW) & bool(timeline.participants)
    if standing_out:
        flicker = np.quantile(np.abs(change), 0.25, axis=1, keepdims=True)
        threshold = np.maximum(np.where(several, MIN_CHANGE, MIN_CHANGE_OF_FEW), STANDS_OUT * flicker)
    else:
        threshold = np.where(several, MIN_CHANGE_OF_RESTLESS, MIN_CHANGE_OF_RESTLESS_FEW)
    size = np.where(np.abs(change) >= threshold, np.abs(change), 0.0).max(axis=0)
    peaks = (size > 0) & (size == maximum_filter1d(size, 2 * window + 1)) & (n >= MIN_OF_CLASS * usual)
    return [
        Moment(
            t=float((step + window) * timeline.bin_s),
            size=float(size[step]),
            change=_by_size(change[:, step]),
            window_s=window * timeline.bin_s,
            compared=int(n[step]) if timeline.participants else None,
            stands_out=standing_out,
        )
        for step in np.flatnonzero(peaks)
    ]


def _people(timeline: Timeline) -> tuple[Array, Array, float]:
    """Readable sightings [participants, bins], scores [7, participants, bins], and the mean number of participants."""
    counts = np.stack([each.read for each in timeline.participants])
    scores = np.stack([each.scores.T for each in timeline.participants], axis=1)
    present = (counts > 0).sum(axis=0)[timeline.frames > 0]
    return counts, scores, float(present.mean()) if present.size else 0.0


def _class_alone(timeline: Timeline) -> tuple[Array, Array, float]:
    """The same if participants are not known: the class as one."""
    counts = np.nan_to_num(timeline.read) * timeline.frames
    return counts[np.newaxis], timeline.scores.T[:, np.newaxis], 1.0


def _before_and_after(values: Array, window: int) -> Array:
    """[2, ..., steps]: sums of `values` [..., bins] over `window` steps before and after each step that has both."""
    sums = np.cumsum(np.concatenate([np.zeros((*values.shape[:-1], 1)), values], axis=-1), axis=-1)
    over = sums[..., window:] - sums[..., :-window]
    return np.stack([over[..., :-window], over[..., window:]])


def _by_size(change: Array) -> dict[str, float]:
    named = zip(EMOTIONS, change.tolist(), strict=True)
    return dict(sorted(named, key=lambda item: (-round(abs(item[1]), 3), -item[1])))
