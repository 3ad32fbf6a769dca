"""By how much everybody's display differed from their own mean, step by step: where stretches and bursts are searched.

Each person is compared with themselves, so somebody who comes or goes does not count as a change of expression.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from producer.reading.analysis.timeline import Timeline

Values = npt.NDArray[np.float32]

MIN_OF_CLASS = 0.4
"""Steps in which fewer than this share of the usual number of people could be read do not count."""


@dataclass(frozen=True)
class Changes:
    """The steps of a lecture in which the class could be read.

    `at` [steps] is the number of each step, `step_s` its seconds. `own` [people, 7, steps] is the change of each person
    against their own mean, zero where `is_read` [people, steps] is false. `of_class` [7, steps] is the mean over those
    who could be read. If single people are not known, the class is counted as one person, and `people_known` is false.
    `faces` is the usual number of faces that could be read.
    """

    step_s: float
    at: npt.NDArray[np.int64]
    own: Values
    is_read: npt.NDArray[np.bool_]
    of_class: Values
    people_known: bool
    faces: float

    def time(self, step: int) -> float:
        """Seconds of media time at which `step` begins, an index of this class; the end of the last one included."""
        return float(self.at[step] if step < len(self.at) else self.at[-1] + 1) * self.step_s

    def span(self, begin: float, end: float) -> tuple[int, int]:
        """First step and end of what lies between these times."""
        first, over = np.searchsorted(self.at, np.round(np.array([begin, end]) / self.step_s)).tolist()
        return first, over

    def steps(self, seconds: float) -> int:
        """The number of steps in this many seconds, at least one."""
        return max(1, round(seconds / self.step_s))

    def without(self, spans: list[tuple[int, int]]) -> "Changes":
        """The same without what the class has in common in the steps [first, end) of `spans`."""
        own = self.own.copy()
        for first, end in spans:
            common = self.of_class[:, first:end].mean(axis=1)
            own[:, :, first:end] -= common[:, np.newaxis] * self.is_read[:, np.newaxis, first:end]
        return replace(self, own=own, of_class=_mean(own, self.is_read))

    def joined(self, steps: int) -> "Changes":
        """The same in longer steps, each made of this many; a rest at the end is left out."""
        read = means_of(self.is_read.astype(np.float32), steps)
        own = means_of(self.own, steps) / np.maximum(read, 1e-6)[:, np.newaxis]
        is_read = read > 0
        at = self.at[: read.shape[1] * steps : steps]
        return replace(self, step_s=self.step_s * steps, at=at, own=own, is_read=is_read, of_class=_mean(own, is_read))


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
    seen = np.maximum(is_read.sum(axis=1), 1)[:, np.newaxis, np.newaxis]
    own = (scores - scores.sum(axis=2, keepdims=True) / seen) * is_read[:, np.newaxis]
    own = own.astype(np.float32)
    return Changes(series.step_s, at, own, is_read, _mean(own, is_read), known, float(np.median(series.read[at])))


def _mean(own: Values, is_read: npt.NDArray[np.bool_]) -> Values:
    return np.asarray(own.sum(axis=0) / np.maximum(is_read.sum(axis=0), 1), np.float32)


def means_of(values: Values, width: int) -> Values:
    """[..., n // width] means of every `width` steps of `values` [..., n]; the rest at the end is left out."""
    blocks = values.shape[-1] // width
    return np.asarray(values[..., : blocks * width].reshape(*values.shape[:-1], blocks, width).mean(axis=-1))
