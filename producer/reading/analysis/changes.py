"""By how much everybody's display differed from their own usual, step by step: where stretches and bursts are searched.

Each person is compared with themselves, so somebody who comes or goes does not count as a change of expression.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from producer.reading.analysis.timeline import Timeline

Values = npt.NDArray[np.float32]

MIN_OF_CLASS = 0.4
"""Steps in which fewer than this share of the usual number of people could be read do not count."""

# The usual of the class is a median over means of this many seconds, because single steps flicker.
CALM_S = 20.0


@dataclass(frozen=True)
class Changes:
    """The steps of a lecture in which the class could be read.

    `at` [steps] is the number of each step, `step_s` its seconds. `own` [people, 7, steps] is the change of each person
    against their own usual, zero where `is_read` [people, steps] is false. `of_class` [7, steps] is the mean over those
    who could be read, less `base` [7], its median over the lecture. If single people are not known, the class is
    counted as one person, and `people_known` is false. `faces` is the usual number of faces that could be read.
    """

    step_s: float
    at: npt.NDArray[np.int64]
    own: Values
    is_read: npt.NDArray[np.bool_]
    of_class: Values
    base: Values
    people_known: bool
    faces: float

    def time(self, step: int) -> float:
        """Seconds of media time at which `step` begins, an index of this class; the end of the last one included."""
        return float(self.at[step] if step < len(self.at) else self.at[-1] + 1) * self.step_s

    def steps(self, seconds: float) -> int:
        """The number of steps in so many seconds, at least one."""
        return max(1, round(seconds / self.step_s))


def changes_of(timeline: Timeline) -> Changes | None:
    """The changes of a lecture; None if nobody could be read."""
    series = timeline.series
    known = bool(timeline.participants)
    if known:
        scores, is_read = series.scores, series.is_read
    else:
        scores, is_read = series.of_class[np.newaxis], (series.read > 0)[np.newaxis]
    count = is_read.sum(axis=0)
    if not count.any():
        return None
    at = np.flatnonzero(count >= max(1.0, MIN_OF_CLASS * float(np.median(count[count > 0]))))
    scores, is_read = scores[..., at], is_read[:, at]
    own = np.zeros_like(scores)
    for person, seen in enumerate(is_read):
        if seen.any():
            shown = scores[person][:, seen]
            own[person][:, seen] = shown - np.median(shown, axis=1, keepdims=True)
    mean = own.sum(axis=0) / np.maximum(is_read.sum(axis=0), 1)
    width = max(1, round(CALM_S / series.step_s))
    calm = means_of(mean, width) if mean.shape[1] >= width else mean
    base = np.median(calm, axis=1)
    faces = float(np.median(series.read[at]))
    return Changes(series.step_s, at, own, is_read, mean - base[:, np.newaxis], base, known, faces)


def means_of(values: Values, width: int) -> Values:
    """[..., n // width] means of every `width` steps of `values` [..., n]; the rest at the end is left out."""
    blocks = values.shape[-1] // width
    return np.asarray(values[..., : blocks * width].reshape(*values.shape[:-1], blocks, width).mean(axis=-1))
