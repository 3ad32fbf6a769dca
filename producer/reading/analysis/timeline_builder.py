"""Makes a timeline from events.

Memory grows with the participants, not with the length of the lecture. When a lecture outgrows its steps, neighbouring
steps are joined. So the same code follows a lecture that is still running.
"""

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
import numpy.typing as npt
from msgspec import UNSET
from scipy.special import stdtrit

from producer.presentation.thresholds import away_after_s
from producer.reading.analysis.names import natural_order
from producer.reading.analysis.own_usual import OwnUsual
from producer.reading.analysis.presence import class_presence, presence
from producer.reading.analysis.series import SeriesSums
from producer.reading.analysis.summary import ParticipantSummary
from producer.reading.analysis.timeline import (
    CONFIDENCE_LEVEL,
    MIN_FOR_MARGIN,
    Array,
    Certainty,
    ParticipantTimeline,
    Timeline,
)
from worker.contract.messages import EMOTIONS, ClassEvent, EmotionEvent, EndEvent, Event, SlideEvent

MAX_BINS = 720
"""Steps of a timeline, about one for each pixel of a chart. Divisible by every number of steps that are joined."""

# Seconds of a step, each a multiple of the one before; after the last they double. A lecture of 12 minutes has steps of
# 1 s, one of an hour 5 s, one of three hours 20 s.
BIN_SECONDS = (1.0, 5.0, 10.0, 20.0, 60.0)

# Events that are collected before NumPy adds them up, so that its calls cost little per event.
BATCH = 4096

# Columns of the sums: frames (of the class) or sightings (of a participant), faces, those that could be read, sums over
# the latter, faces that face the screen or are turned away, and those that could be read but whose scores are hidden.
_COUNT, _FACES, _READ, _SCORES, _VALENCE, _AROUSAL = 0, 1, 2, slice(3, 10), 10, 11
_FACING, _TURNED, _HIDDEN = 12, 13, 14
_COLUMNS = 15

_NO_SCORES = (0.0,) * len(EMOTIONS)
_in_order = itemgetter(*EMOTIONS)  # the scores in the order of EMOTIONS


class TimelineBuilder:
    """Makes a timeline from events, added in the order of each stream. A late event goes to the step of its time."""

    def __init__(self, fps: float) -> None:
        """`fps` is the number of frames sampled per second; a step is at least one frame long."""
        self._frame_s = 1 / fps
        self._away_after_s = away_after_s(fps)
        self._bin_s = BIN_SECONDS[0]
        while self._bin_s < self._frame_s:
            self._bin_s = _longer(self._bin_s)
        self._last_t = -1.0
        self._most_faces = self._empty = 0
        self._sums = np.zeros((1, MAX_BINS, _COLUMNS))  # the class first, then the participants
        self._rows: list[tuple[float, ...]] = []  # seconds, row in the sums, and the columns
        self._seen: dict[str, _Seen] = {}
        self._versions: Counter[str] = Counter()
        self._series = SeriesSums(self._frame_s)
        self._own = OwnUsual()
        self._confidence = 0.0
        self._predictions: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()

    def add(self, event: Event) -> None:
        if isinstance(event, EndEvent | SlideEvent):
            return
        if event.t > self._last_t:
            self._last_t = event.t
        if isinstance(event, EmotionEvent):
            self._add_sighting(event)
        else:
            self._add_class(event)
        if len(self._rows) >= BATCH:
            self._sum_up()

    @property
    def participants(self) -> list[str]:
        """Everybody who was seen, in the order of their first event."""
        return list(self._seen)

    def timeline(self, without: Collection[str] = ()) -> Timeline:
        """The timeline of all events that were added.

        With participants `without` whom the class is to be seen, its figures come from the others' events. Then
        `most_faces` and `empty` are known by steps and not by frames.
        """
        self._sum_up()
        bins = int(self._bin_of(np.array([self._last_t]))[0]) + 1 if self._last_t >= 0 else 0
        people = sorted(self._seen.items(), key=lambda item: natural_order(item[0]))
        counted = [(name, seen) for name, seen in people if name not in without]
        own = self._sums[[seen.row for _, seen in counted], :bins]
        class_ = self._sums[0, :bins]
        most_faces, empty = self._most_faces, self._empty
        if len(counted) < len(people):
            class_ = np.column_stack([class_[:, _COUNT], own[..., _FACES:].sum(axis=0)])
            most_faces = math.ceil(np.nan_to_num(_divided(class_[:, _FACES], class_[:, _COUNT])).max(initial=0))
            empty = int(class_[class_[:, _FACES] == 0, _COUNT].sum())
        means = _means(class_)
        columns = (_FACES, _FACING, _TURNED)
        return Timeline(
            bin_s=self._bin_s,
            seconds=self._last_t + self._frame_s if bins else 0.0,
            frames=class_[:, _COUNT],
            faces=_divided(class_[:, _FACES], class_[:, _COUNT]),
            read=_divided(class_[:, _READ], class_[:, _COUNT]),
            most_faces=most_faces,
            empty=empty,
            scores=means[:, _SCORES],
            valence=means[:, _VALENCE],
            arousal=means[:, _AROUSAL],
            margins=_margins(own),
            participants=[self._participant(name, seen, bins) for name, seen in counted],
            certainty=self._certainty(),
            versions=Counter(self._versions),
            series=self._series.series(
                self._last_t + self._frame_s if bins else 0.0,
                [seen.row for _, seen in counted],
                everybody=len(counted) == len(people),
            ),
            presence=presence(class_[:, _COUNT], *(own[..., each] for each in columns))
            if people
            else class_presence(class_[:, _COUNT], *(class_[:, each] for each in columns)),
            left_out=[self._participant(name, seen, bins) for name, seen in people if name in without],
            hidden=_divided(class_[:, _HIDDEN], class_[:, _COUNT]),
        )

    def _add_class(self, event: ClassEvent) -> None:
        self._most_faces = max(self._most_faces, event.faces)
        self._empty += event.faces == 0
        self._versions[event.model_version] += 1
        readable = float(max(event.faces - event.unreadable, 0))
        read, hidden = (readable, 0.0) if event.scores else (0.0, readable)
        scores = event.scores or {}
        row = (event.t, 0, 1, event.faces, read, *(read * scores.get(emotion, 0.0) for emotion in EMOTIONS))
        poses = (0, 0) if event.turned_away is UNSET else (event.faces - event.turned_away, event.turned_away)
        self._rows.append((*row, read * (event.valence or 0.0), read * (event.arousal or 0.0), *poses, hidden))

    def _add_sighting(self, event: EmotionEvent) -> None:
        seen = self._seen.get(event.participant)
        if seen is None:
            seen = self._seen[event.participant] = _Seen(event.t, event.t, row=1 + len(self._seen))
        seen.add_with_gap(event, self._away_after_s)
        read, scores = 0.0, _NO_SCORES
        if event.scores is not None:
            read, scores = 1.0, _in_order(event.scores)
            self._predictions[event.emotion or "", tuple(event.models.items())] += 1
        poses = (0, 0) if event.pose is UNSET else (0, 1) if event.pose.turned_away else (1, 0)
        affect = (event.valence or 0.0, event.arousal or 0.0)
        self._rows.append((event.t, seen.row, 1, 1, read, *scores, *affect, *poses, 0.0))

    def _sum_up(self) -> None:
        while self._last_t >= MAX_BINS * self._bin_s - self._slack:
            longer = _longer(self._bin_s)
            self._sums = _joined(self._sums, round(longer / self._bin_s))
            self._bin_s = longer
        if len(self._seen) >= len(self._sums):
            more = np.zeros((max(8, len(self._seen)), MAX_BINS, _COLUMNS))
            self._sums = np.concatenate([self._sums, more])
        if self._rows:
            rows = np.array(self._rows)
            self._rows.clear()
            self._sum_up_scores(rows)
            self._series.add(rows)
            _add_rows(self._sums, rows[:, 1].astype(int) * MAX_BINS + self._bin_of(rows[:, 0]), rows[:, 2:])

    def _sum_up_scores(self, rows: Array) -> None:
        """Count the scores of those who could be read, for certainty and for everybody's usual."""
        read = rows[(rows[:, 1] > 0) & (rows[:, 2 + _READ] > 0)]
        scores = read[:, 2:][:, _SCORES]
        self._confidence += float(scores.max(axis=1, initial=0).sum())
        for participant, seen in self._seen.items():
            of_them = scores[read[:, 1] == seen.row]
            if len(of_them):
                self._own.add_scores(participant, of_them)

    @property
    def _slack(self) -> float:
        # Times are rounded. A frame may be too early by a rounding error, and still belongs to its step.
        return self._frame_s * 1e-3

    def _bin_of(self, t: Array) -> npt.NDArray[np.int64]:
        return np.maximum((t + self._slack) // self._bin_s, 0).astype(np.int64)

    def _participant(self, name: str, seen: "_Seen", bins: int) -> ParticipantTimeline:
        sums = self._sums[seen.row, :bins]
        return ParticipantTimeline(
            id=name,
            frames=seen.frames,
            first=seen.first,
            last=seen.last,
            gaps=seen.gaps,
            longest_gap=seen.longest_gap,
            emotions=Counter(seen.emotions),
            unreadable=Counter(seen.unreadable),
            sightings=sums[:, _COUNT].copy(),
            read=sums[:, _READ].copy(),
            scores=_means(sums)[:, _SCORES],
            usual=self._own.of(name),
        )

    def _certainty(self) -> Certainty:
        predicted: Counter[str] = Counter()
        agreed: Counter[str] = Counter()
        compared = unanimous = 0
        for (ensemble, predictions), times in self._predictions.items():
            for network, emotion in predictions:
                predicted[network] += times
                agreed[network] += times if emotion == ensemble else 0
            if len(predictions) > 1:
                compared += times
                unanimous += times if len({emotion for _, emotion in predictions}) == 1 else 0
        sightings = self._predictions.total()
        confidence = self._confidence / sightings if sightings else math.nan
        return Certainty(sightings, confidence, predicted, agreed, compared, unanimous)


@dataclass(kw_only=True)
class _Seen(ParticipantSummary):
    """When a participant was seen and away, and what they displayed. `row` is their row in the sums."""

    row: int
    gaps: int = 0
    longest_gap: tuple[float, float] | None = None

    def add_with_gap(self, event: EmotionEvent, away_after_s: float) -> None:
        away = event.t - self.last
        if away > away_after_s:
            self.gaps += 1
            if self.longest_gap is None or away > self.longest_gap[1]:
                self.longest_gap = (self.last, away)
        self.add(event)


def _longer(bin_s: float) -> float:
    return next((each for each in BIN_SECONDS if each > bin_s), 2 * bin_s)


def _add_rows(sums: Array, steps: npt.NDArray[np.int64], rows: Array) -> None:
    """Add each of `rows` [n, columns] to the step of `sums` [1 + people, bins, columns] with this number.

    The steps are numbered through all of `sums`. The same as `np.add.at`, which is several times slower.
    """
    order = np.argsort(steps, kind="stable")
    different, first = np.unique(steps[order], return_index=True)
    sums.reshape(-1, sums.shape[2])[different] += np.add.reduceat(rows[order], first, axis=0)


def _joined(sums: Array, steps: int) -> Array:
    """`sums` [n, MAX_BINS, columns] with every `steps` steps joined into one; the rest is zero."""
    n, bins, columns = sums.shape
    joined = np.zeros_like(sums)
    joined[:, : bins // steps] = sums.reshape(n, bins // steps, steps, columns).sum(axis=2)
    return joined


def _means(sums: Array) -> Array:
    """[..., columns] means over the readable faces of each step; NaN where there are none."""
    return _divided(sums, sums[..., _READ, np.newaxis])


def _divided(sums: Array, counts: Array) -> Array:
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=np.broadcast_to(counts > 0, sums.shape))


def _margins(people: Array) -> Array:
    """[bins, 2]: half the width of Student's interval of the participants' mean valence and arousal in each step."""
    means = _means(people)[..., [_VALENCE, _AROUSAL]]
    seen = ~np.isnan(means)
    n = seen.sum(axis=0)
    enough = n >= MIN_FOR_MARGIN
    n = np.maximum(n, 2)  # avoids a division by zero; the result is not used
    centre = np.where(seen, means, 0.0).sum(axis=0) / n
    spread = np.sqrt((np.where(seen, means - centre, 0.0) ** 2).sum(axis=0) / (n - 1))
    margins = stdtrit(n - 1, (1 + CONFIDENCE_LEVEL) / 2) * spread / np.sqrt(n)
    return np.where(enough, margins, np.nan)
