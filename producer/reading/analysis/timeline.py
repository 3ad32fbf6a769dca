"""A lecture's events as a timeline: equal steps of media time, few enough to be drawn."""

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from producer.presentation.palette import PLACE_IN_STACK
from producer.reading.analysis.names import natural_order
from producer.reading.analysis.presence import presence_shares
from producer.reading.analysis.series import Series
from worker.contract.messages import Scores

Array = npt.NDArray[np.float64]

MIN_FOR_MARGIN = 3
"""Participants that a margin of uncertainty needs. The spread between two says too little."""

CONFIDENCE_LEVEL = 0.95

NOT_SEEN, NOT_READ = -1, -2
"""In the place of an emotion's index: the participant was not seen; or was, but no face of the step could be read."""


@dataclass(frozen=True)
class ParticipantTimeline:
    """One participant through the lecture.

    `sightings` [bins] counts the frames of each step in which the participant was seen, `read` [bins] those in which
    the face could be read. `scores` [bins, 7] are the mean scores of the latter, NaN where there are none. `emotions`
    counts all frames by the emotion displayed, `unreadable` those in which the face could not be read, by reason.
    `usual` is the median of all scores of the participant; None if the face could never be read.
    `gaps` counts the times when the participant was away (`away_after_s`) between first and last sighting;
    `longest_gap` is (start, seconds) of the longest. Times are seconds of media time.
    """

    id: str
    frames: int
    first: float
    last: float
    gaps: int
    longest_gap: tuple[float, float] | None
    emotions: Counter[str]
    unreadable: Counter[str]
    sightings: Array
    read: Array
    scores: Array
    usual: Scores | None

    @property
    def shown(self) -> npt.NDArray[np.int64]:
        """Index in EMOTIONS of the emotion displayed most in each step, [bins]; NOT_SEEN or NOT_READ without one."""
        return np.where((self.sightings > 0) & (self.read == 0), NOT_READ, strongest(self.scores))

    @property
    def strength(self) -> Array:
        """The mean score of that emotion, [bins], 0 to 1; 0 where there is none."""
        return np.where(self.read > 0, np.nan_to_num(self.scores).max(axis=1), 0.0)


@dataclass(frozen=True)
class Certainty:
    """How certain the models were: readable sightings, the mean of their largest scores, how often networks agreed.

    `predicted` counts the sightings that each network read, `agreed` those where its prediction was the ensemble's.
    `compared` counts the sightings that more than one network read, `unanimous` those where all predicted the same.
    """

    sightings: int = 0
    confidence: float = math.nan
    predicted: Counter[str] = field(default_factory=Counter)
    agreed: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    unanimous: int = 0


@dataclass(frozen=True)
class Timeline:
    """A lecture in steps of `bin_s` seconds; step i begins at i * bin_s.

    `seconds` is the length of the lecture. `frames` [bins] counts the analysed frames, `faces` [bins] are their mean
    numbers of faces, `read` [bins] those of the faces that could be read. `scores` [bins, 7], `valence` and
    `arousal` [bins] are means over the latter, NaN where there are none. `hidden` [bins] are the mean numbers of
    faces that could be read but do not count as such, because the scores of small groups stay hidden. `empty`
    counts the frames without a face. `margins` [bins, 2] are half the widths of the 95 % interval of valence and
    arousal, from the spread between the participants of that step; NaN where they are fewer than MIN_FOR_MARGIN.
    `versions` counts frames by the version of the models. `series` is the same in finer steps.
    `presence` [bins, 3] are the mean numbers of people who face the screen, are turned away, and are out of view
    (`analysis.presence`). `participants` are those of the class, `left_out` those who do not count (the lecturer).
    """

    bin_s: float
    seconds: float
    frames: Array
    faces: Array
    read: Array
    most_faces: int
    empty: int
    scores: Array
    valence: Array
    arousal: Array
    margins: Array
    participants: list[ParticipantTimeline]
    certainty: Certainty
    versions: Counter[str]
    series: Series
    presence: Array
    left_out: list[ParticipantTimeline]
    hidden: Array

    @property
    def everybody(self) -> list[ParticipantTimeline]:
        """The participants and those who were left out of the class."""
        return sorted([*self.participants, *self.left_out], key=lambda each: natural_order(each.id))

    @property
    def bins(self) -> int:
        return len(self.frames)

    @property
    def analysed(self) -> int:
        return int(self.frames.sum())

    @property
    def mean_faces(self) -> float:
        """Mean number of faces in a frame; NaN if no frame was analysed."""
        return float(np.nansum(self.faces * self.frames) / self.analysed) if self.analysed else math.nan

    @property
    def unreadable(self) -> float:
        """The share of all faces that could not be read, 0 to 1; 0 if there are no faces."""
        faces, read = (float(np.nansum(each * self.frames)) for each in (self.faces, self.readable))
        return 1 - read / faces if faces else 0.0

    @property
    def readable(self) -> Array:
        """Mean numbers of faces that could be read, hidden or not, [bins]."""
        return self.read + self.hidden

    @property
    def mean_scores(self) -> Array | None:
        """Mean scores over all readable faces of the lecture, [7]; None if there are none."""
        weights = np.nan_to_num(self.read) * self.frames
        return np.nan_to_num(self.scores).T @ weights / weights.sum() if weights.any() else None

    @property
    def mean_presence(self) -> Array | None:
        """Shares of PRESENCE over the lecture, [3], of people and frames; None if they are not known."""
        known = ~np.isnan(self.presence[:, 0])
        shares = presence_shares(self.frames[known] @ self.presence[known])
        return None if np.isnan(shares[0]) else shares


def strongest(scores: Array) -> npt.NDArray[np.int64]:
    """Index of the largest of each row of `scores` [n, 7]; NOT_SEEN for a row of NaN."""
    known = ~np.isnan(scores[:, 0])
    return np.where(known, np.nan_to_num(scores, nan=-1.0).argmax(axis=1), NOT_SEEN).astype(np.int64)


def places_in_stack(shown: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Indices in STACK instead of EMOTIONS. NOT_SEEN and NOT_READ stay."""
    return np.where(shown < 0, shown, np.array(PLACE_IN_STACK)[shown])
