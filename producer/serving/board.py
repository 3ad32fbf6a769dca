"""What a page shows of a lecture, and what of it is new to somebody who has seen an earlier state.

A page that reads slowly misses states in between, and never a part of the newest: what it is sent are values that
replace others, not steps. So nothing has to be kept for it, and nothing is ever counted twice.
"""

import secrets
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from producer.presentation.palette import STACK
from producer.reading.analysis.moments import in_words, moments
from producer.reading.analysis.timeline import Array, Tally, Timeline
from producer.reading.lectures import Lecture
from producer.reading.roster import Names, Roster
from worker.contract.messages import EMOTIONS, ClassEvent, EmotionEvent, EndEvent, Event, Ledger, Scores

Phase = Literal["waiting", "running", "over", "forgotten"]


class Standing(Struct, frozen=True):
    """The lecture as a whole. `connected`: Redis answers. `caught_up`: all that is there was read.

    `read` counts frames of which this page knows, `fed` is whether a producer feeds the lecture. `started` and `ended`
    are seconds since 1970.
    """

    phase: Phase = "waiting"
    connected: bool = True
    caught_up: bool = False
    read: int = 0
    status: str | None = None
    reason: str | None = None
    source: str | None = None
    fps: float | None = None
    started: float | None = None
    ended: float | None = None
    fed: bool = False
    ledger: Ledger = Ledger()


class Now(Struct, frozen=True):
    """The class in the newest frame."""

    frame: int
    t: float
    faces: int
    scores: Scores | None
    valence: float | None
    arousal: float | None


class ClassBin(Struct, frozen=True, array_like=True):
    """A step of the class's timeline: frames looked at, mean faces of those, means over all faces (null: no face; the
    scores in the order of STACK), and the margins of valence and arousal (null: too few participants)."""

    bin: int
    frames: int
    faces: float
    scores: list[float] | None
    valence: float | None
    arousal: float | None
    valence_margin: float | None
    arousal_margin: float | None


class ParticipantBin(Struct, frozen=True, array_like=True):
    """A step of a participant's: in how many frames they were seen, what was displayed most, by its place in STACK,
    and how strongly."""

    bin: int
    frames: int
    emotion: int
    strength: float


class Participant(Struct, frozen=True):
    """A participant as last seen, in how many frames altogether, and the steps of theirs that are new."""

    id: str
    name: str | None
    frames: int
    first: float
    last: float
    emotion: str
    score: float
    valence: float
    arousal: float
    bins: list[ParticipantBin]


class Change(Struct, frozen=True):
    """A moment at which much changed, and what, in words."""

    t: float
    words: str


class Patch(Struct, frozen=True):
    """What changed. Where it is `whole`, it is all there is, and whatever was known before is to be forgotten.

    `width` is the seconds of a bin, `length` how many bins there are.
    """

    lecture: str
    whole: bool
    standing: Standing
    width: float
    length: int
    now: Now | None
    bins: list[ClassBin]
    participants: list[Participant]
    moments: list[Change]
    emotions: tuple[str, ...] = STACK


class Board:
    """A lecture as it stands, and its timeline as of the last `refresh`."""

    def __init__(self, lecture: str, roster: Roster | None = None) -> None:
        self._lecture = lecture
        self._roster = roster
        self._standing = Standing()
        self._clear(fps=1.0)

    def _clear(self, fps: float) -> None:
        self._history = secrets.token_hex(8)
        self._revision = self._joined = 1
        self._stale = False
        self._tally = Tally(fps)
        self._timeline = self._tally.timeline()
        self._rows: dict[str | None, _Rows] = {}
        self._moments: list[Change] = []
        self._names = Names(self._roster) if self._roster is not None else None
        self._read = 0
        self._now: Now | None = None
        self._seen: dict[str, _Seen] = {}

    @property
    def edition(self) -> str:
        """The name of this state: of this history of the lecture, and how often it changed."""
        return f"{self._history}.{self._revision}"

    @property
    def phase(self) -> Phase:
        return self._standing.phase

    def begin(self, fps: float) -> None:
        """A lecture is there of which nothing is known yet."""
        self._clear(fps)
        self._standing = Standing(phase="running", fps=fps)

    def stand(self, lecture: Lecture, caught_up: bool) -> None:
        """How the lecture stands, by its hash; `caught_up`: all events that are there were added."""
        info = lecture.info
        self._change(
            Standing(
                phase="running" if info.status == "running" else "over",
                caught_up=caught_up,
                read=self._read,
                status="abandoned" if lecture.abandoned else info.status,
                reason=info.reason,
                source=info.source,
                fps=info.fps,
                started=info.started,
                ended=info.ended,
                fed=lecture.fed,
                ledger=lecture.ledger,
            )
        )

    def add(self, event: Event) -> None:
        """One more event, in any order; it shows at the next `refresh`. Of the end, the lecture's hash tells."""
        if isinstance(event, EndEvent):
            return
        self._stale = True
        self._tally.add(event)
        if isinstance(event, ClassEvent):
            self._read += 1
            if self._now is None or event.frame >= self._now.frame:
                self._now = Now(event.frame, event.t, event.faces, event.scores, event.valence, event.arousal)
        else:
            if self._names is not None:
                self._names.add(event)
            self._seen[event.participant] = _seen_again(self._seen.get(event.participant), event)

    def refresh(self) -> None:
        """Let the timeline hold all events that were added, and note what has changed in it."""
        if not self._stale:
            return
        self._stale = False
        self._revision += 1
        timeline = self._tally.timeline()
        if timeline.bin_s != self._timeline.bin_s:
            self._joined = self._revision
            self._rows = {}
        for who, rows in _rows(timeline).items():
            self._rows[who] = _Rows.after(self._rows.get(who), rows, self._revision)
        self._timeline = timeline
        self._moments = [Change(each.t, in_words(each)) for each in moments(timeline)]

    def lose_connection(self) -> None:
        """Redis does not answer; all that is known stays."""
        self._change(msgspec.structs.replace(self._standing, connected=False))

    def forget(self) -> None:
        """There is no such lecture: nothing of one that was there is kept."""
        if self._standing.phase == "waiting":
            self._change(Standing())
        elif self._standing.phase != "forgotten" or not self._standing.connected:
            self._clear(fps=1.0)
            self._standing = Standing(phase="forgotten")

    def patch(self, since: str | None) -> Patch:
        """What is new to whoever has seen the edition `since`; all of it, if nothing is known of that."""
        revision = self._known_revision(since)
        after = 0 if revision is None else revision
        return Patch(
            lecture=self._lecture,
            whole=revision is None,
            standing=self._standing,
            width=self._timeline.bin_s,
            length=self._timeline.bins,
            now=self._now,
            bins=self._class_bins(after),
            participants=[self._participant(each.id, after) for each in self._timeline.participants],
            moments=self._moments,
        )

    def _change(self, standing: Standing) -> None:
        if standing != self._standing:
            self._standing = standing
            self._revision += 1

    def _known_revision(self, edition: str | None) -> int | None:
        """The revision of `edition`, if it is one of this history whose steps were as long as today's."""
        history, _, revision = (edition or "").partition(".")
        if history != self._history or not revision.isdecimal() or len(revision) > 12:
            return None
        return int(revision) if self._joined <= int(revision) <= self._revision else None

    def _class_bins(self, after: int) -> list[ClassBin]:
        if None not in self._rows:
            return []
        bins = []
        for where, (frames, faces, *numbers) in self._rows[None].newer(after):
            *scores, valence, arousal, valence_margin, arousal_margin = map(_number, numbers)
            there = [score for score in scores if score is not None]
            known = there if len(there) == len(EMOTIONS) else None
            means = (known, valence, arousal, valence_margin, arousal_margin)
            bins.append(ClassBin(where, int(frames), _number(faces) or 0.0, *means))
        return bins

    def _participant(self, participant: str, after: int) -> Participant:
        seen = self._seen[participant]
        last = seen.last
        bins = [
            ParticipantBin(where, int(frames), int(shown), round(strength, 4))
            for where, (frames, shown, strength) in self._rows[participant].newer(after)
        ]
        return Participant(
            id=participant,
            name=self._names.of(participant) if self._names is not None else None,
            frames=seen.frames,
            first=seen.first,
            last=last.t,
            emotion=last.emotion,
            score=last.scores.get(last.emotion, 0.0),
            valence=last.valence,
            arousal=last.arousal,
            bins=bins,
        )


class _Rows(Struct, frozen=True):
    """Something [bins, numbers], and the revision in which each of its rows changed last, [bins]."""

    values: Array
    changed: npt.NDArray[np.int64]

    @classmethod
    def after(cls, before: "_Rows | None", values: Array, revision: int) -> "_Rows":
        """`values` in place of those `before`."""
        changed = np.full(len(values), revision, np.int64)
        if before is not None:
            old = len(before.values)
            same = (values[:old] == before.values) | (np.isnan(values[:old]) & np.isnan(before.values))
            changed[:old] = np.where(same.all(axis=1), before.changed, revision)
        return cls(values, changed)

    def newer(self, revision: int) -> list[tuple[int, list[float]]]:
        """(bin, its numbers) of those that hold anything and changed after `revision`."""
        wanted = np.flatnonzero((self.changed > revision) & (self.values[:, 0] > 0))
        return list(zip(wanted.tolist(), self.values[wanted].tolist(), strict=True))


class _Seen(Struct, frozen=True):
    """A participant's newest event, in how many frames they were seen, and when first."""

    last: EmotionEvent
    frames: int
    first: float


def _seen_again(before: _Seen | None, event: EmotionEvent) -> _Seen:
    if before is None:
        return _Seen(event, 1, event.t)
    newest = event if event.frame >= before.last.frame else before.last
    return _Seen(newest, before.frames + 1, min(before.first, event.t))


# The place in EMOTIONS of each emotion of STACK, and the other way round.
_STACKED = np.array([EMOTIONS.index(emotion) for emotion in STACK])
_PLACE = np.argsort(_STACKED)


def _rows(timeline: Timeline) -> dict[str | None, Array]:
    """What a page is told of every step: of the class (None) [bins, 13], of each participant [bins, 3]."""
    scores, affect = timeline.scores[:, _STACKED], [timeline.valence, timeline.arousal, timeline.margins]
    rows: dict[str | None, Array] = {None: np.column_stack([timeline.frames, timeline.faces, scores, *affect])}
    for each in timeline.participants:
        rows[each.id] = np.column_stack([each.sightings, _PLACE[each.shown], each.strength])
    return rows


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)
