"""The state of a lecture's live page, and patches from any earlier state to the newest.

Every state has a name, its edition. A patch holds values that replace older values, not increments. So a slow page may
skip states, the server keeps nothing for single pages, and nothing is counted twice.
"""

import math
import secrets
import time
from collections.abc import Mapping

import msgspec
import numpy as np

from producer.presentation.thresholds import away_after_s
from producer.reading.analysis.chapters import SlideTimes
from producer.reading.analysis.losses import Kept, loss_line
from producer.reading.analysis.moments import grown_enough, moments
from producer.reading.analysis.names import Names, Roster
from producer.reading.analysis.places import Place, PlacesBuilder
from producer.reading.analysis.sentences import Sentence, sentences
from producer.reading.analysis.timeline import ParticipantTimeline
from producer.reading.analysis.timeline_builder import TimelineBuilder
from producer.reading.lectures import Lecture
from producer.serving.patch import (
    ClassBin,
    MomentLine,
    NamedParts,
    NewestFrame,
    ParticipantBin,
    ParticipantPatch,
    Patch,
    Phase,
    Standing,
)
from producer.serving.rows import Rows, rows_of
from worker.contract.chapters import Chapter
from worker.contract.messages import (
    EMOTIONS,
    ClassEvent,
    EmotionEvent,
    EndEvent,
    Event,
    ParticipantSpan,
    SlideEvent,
)


class Board:
    """The newest state of a lecture, and its timeline at the last `refresh`."""

    def __init__(self, lecture: str, roster: Roster | None = None) -> None:
        self._lecture = lecture
        self._roster = roster or Roster()
        self._standing = Standing()
        self._clear(fps=1.0)

    def _clear(self, fps: float, size: tuple[int, int] = (1, 1), source: str = "") -> None:
        self._history = secrets.token_hex(8)
        self._revision = self._joined = 1
        self._stale = False
        self._size = size
        self._builder = TimelineBuilder(fps)
        self._places_builder = PlacesBuilder(*size, source)
        self._places: dict[str, Place] = {}
        self._left_out: dict[str, str] = {}
        self._timeline = self._builder.timeline()
        self._rows: dict[str | None, Rows] = {}
        self._moments: list[MomentLine] = []
        self._sentences: list[Sentence] = []
        self._searched_s = -math.inf
        self._over = self._searched_over = False
        self._names = Names(self._roster)
        self._read = 0
        self._now: NewestFrame | None = None
        self._latest: dict[str, EmotionEvent] = {}
        self._kept = Kept()
        self._slides = SlideTimes()
        self._chapters: list[Chapter] = []
        self._parts: NamedParts = {"chapters": [], "slides": []}
        self._parted = self._revision
        self._missing: dict[str | None, str] = {}

    @property
    def edition(self) -> str:
        """The name of this state: a random name of the lecture's history, and the number of its changes."""
        return f"{self._history}.{self._revision}"

    @property
    def phase(self) -> Phase:
        return self._standing.phase

    def begin(self, fps: float, size: tuple[int, int] = (1, 1), source: str = "") -> None:
        """Start a lecture of this source, with pictures of this width and height.

        Everything that was added before is dropped.
        """
        self._clear(fps, size, source)
        self._standing = Standing(phase="running", fps=fps, away_after=away_after_s(fps))

    def set_standing(
        self, lecture: Lecture, caught_up: bool, spans: Mapping[str, ParticipantSpan] | None = None
    ) -> None:
        """Set the standing from the lecture's hash. `caught_up` is whether all its events were added.

        `lecture` and `spans`, those of its participants, were read before the events.
        """
        info = lecture.info
        self._chapters = info.chapters
        known = caught_up and spans is not None
        losses = self._kept.losses(lecture.id, info, spans or {}) if known else []
        self._missing = {each.participant: each.in_words() for each in losses}
        self._over = caught_up and info.status != "running"
        self._change(
            Standing(
                phase="running" if info.status == "running" else "over",
                caught_up=caught_up,
                read=self._read,
                status="abandoned" if lecture.abandoned else info.status,
                reason=info.reason,
                source=info.source,
                fps=info.fps,
                away_after=away_after_s(info.fps),
                started=info.started,
                ended=info.ended,
                fed=lecture.fed,
                live=info.live,
                expected=info.expected,
                behind=self._behind(lecture),
                ledger=lecture.ledger,
                missing=loss_line(losses),
                min_group=info.min_group,
            )
        )

    def add(self, event: Event) -> None:
        """Add an event, in any order. Patches show it after the next `refresh`. The EndEvent is ignored."""
        if isinstance(event, EndEvent):
            return
        self._kept.add(event)
        self._slides.add(event)
        if isinstance(event, SlideEvent):
            return
        self._stale = True
        self._builder.add(event)
        self._places_builder.add(event)
        if isinstance(event, ClassEvent):
            self._read += 1
            if self._now is None or event.frame >= self._now.frame:
                read = event.faces - event.unreadable
                means = (event.scores, event.valence, event.arousal)
                self._now = NewestFrame(event.frame, event.t, event.faces, read, *means)
        else:
            self._names.add(event)
            if event.frame >= self._latest.get(event.participant, event).frame:
                self._latest[event.participant] = event

    def refresh(self) -> None:
        """Bring the timeline up to date with all events that were added, and note its changes."""
        if not self._stale:
            return
        self._stale = False
        self._revision += 1
        self._places = self._places_builder.places()
        self._left_out = self._names.left_out(self._latest)
        timeline = self._builder.timeline(without=self._left_out)
        if timeline.bin_s != self._timeline.bin_s:
            self._joined = self._revision
            self._rows = {}
        for participant, rows in rows_of(timeline).items():
            self._rows[participant] = Rows.after(self._rows.get(participant), rows, self._revision)
        self._timeline = timeline
        self._part()

    def _part(self) -> None:
        """Note the revision in which a chapter or slide began."""
        parts = self._slides.parts(self._chapters, self._timeline.seconds)
        begun: NamedParts = {
            "chapters": [(each.begin, each.title) for each in parts.chapters],
            "slides": [(each.begin, each.title) for each in parts.slides],
        }
        if begun != self._parts:
            self._parts, self._parted = begun, self._revision

    def search(self) -> None:
        """Search for moments if the lecture is over, or much longer than at the last time.

        This takes up to a second, so call it in a thread. Patches may be taken meanwhile, but nothing may be added.
        """
        timeline, over = self._timeline, self._over
        grown = grown_enough(timeline.seconds, self._searched_s)
        if self._standing.phase not in ("running", "over") or (over and self._searched_over):
            return
        if not over and not (grown and timeline.bins):
            return
        self._searched_s, self._searched_over = timeline.seconds, over
        found = moments(timeline)
        self._moments = [MomentLine(each.begin, each.end, each.kind, each.in_words) for each in found]
        place = self._slides.parts(self._chapters, timeline.seconds).place
        self._sentences = sentences(timeline, found, not over, place)
        self._revision += 1

    def lose_connection(self) -> None:
        """Redis does not answer. All that is known stays."""
        self._change(msgspec.structs.replace(self._standing, connected=False))

    def forget(self) -> None:
        """The lecture does not exist (any more). Nothing of it is kept."""
        if self._standing.phase == "waiting":
            self._change(Standing())
        elif self._standing.phase != "forgotten" or not self._standing.connected:
            self._clear(fps=1.0)
            self._standing = Standing(phase="forgotten")

    def patch(self, since: str | None) -> Patch:
        """The changes since the edition `since`; the whole state if that edition is unknown."""
        revision = self._known_revision(since)
        after = 0 if revision is None else revision
        return Patch(
            lecture=self._lecture,
            whole=revision is None,
            standing=self._standing,
            width=self._timeline.bin_s,
            length=self._timeline.bins,
            now=self._class_now(),
            bins=self._class_bins(after),
            participants=[*(self._participant(each, after) for each in self._timeline.everybody), *self._lost()],
            moments=self._moments,
            sentences=[each.parts for each in self._sentences],
            parts=self._parts if self._parted > after else None,
        )

    def _behind(self, lecture: Lecture) -> int | None:
        """Whole seconds, so that a page gets them at most once a second."""
        if lecture.info.status != "running" or not lecture.fed or self._now is None:
            return None
        if lecture.info.live:
            return max(0, round(time.time() - lecture.info.started - self._now.t))
        return round(lecture.ledger.in_flight / lecture.info.fps)

    def _change(self, standing: Standing) -> None:
        if standing != self._standing:
            self._standing = standing
            self._revision += 1

    def _known_revision(self, edition: str | None) -> int | None:
        """The revision of `edition`, if it is of this history and its steps had the same length as now."""
        history, _, revision = (edition or "").partition(".")
        if history != self._history or not revision.isdecimal() or len(revision) > 12:
            return None
        return int(revision) if self._joined <= int(revision) <= self._revision else None

    def _class_bins(self, after: int) -> list[ClassBin]:
        if None not in self._rows:
            return []
        bins = []
        for bin, (frames, faces, read, *numbers) in self._rows[None].newer(after):
            *scores, valence, arousal, valence_margin, arousal_margin, facing, turned, out = map(_number, numbers)
            present = [score for score in scores if score is not None]
            known = present if len(present) == len(EMOTIONS) else None
            presence = None if facing is None else [facing, turned, out]
            means = (known, valence, arousal, valence_margin, arousal_margin, presence)
            bins.append(ClassBin(bin, int(frames), _number(faces) or 0.0, _number(read) or 0.0, *means))
        return bins

    def _participant(self, participant: ParticipantTimeline, after: int) -> ParticipantPatch:
        id, last = participant.id, self._latest[participant.id]
        bins = [
            ParticipantBin(bin, int(frames), None if shown < 0 else int(shown), round(strength, 4))
            for bin, (frames, shown, strength) in self._rows[id].newer(after)
        ]
        return ParticipantPatch(
            id=id,
            name=self._names.of(id),
            frames=participant.frames,
            unread=participant.unreadable.total(),
            first=participant.first,
            last=last.t,
            emotion=last.emotion,
            reason=last.reason or "",
            score=(last.scores or {}).get(last.emotion or "", 0.0),
            valence=last.valence,
            arousal=last.arousal,
            bins=bins,
            missing=self._missing.get(id, ""),
            map=self._places[id].map(self._size) if id in self._places else None,
            left_out=self._left_out.get(id, ""),
        )

    def _class_now(self) -> NewestFrame | None:
        """The newest frame, of those who count for the class."""
        now = self._now
        if now is None or not self._left_out:
            return now
        counted = [event for each, event in self._latest.items() if each not in self._left_out]
        faces = [event for event in counted if event.frame == now.frame]
        read = [event for event in faces if event.scores]
        if not read:
            return NewestFrame(now.frame, now.t, len(faces), 0, None, None, None)
        scores = {emotion: float(np.mean([(each.scores or {})[emotion] for each in read])) for emotion in EMOTIONS}
        valence, arousal = (float(np.mean([getattr(each, name) for each in read])) for name in ("valence", "arousal"))
        return NewestFrame(now.frame, now.t, len(faces), len(read), scores, valence, arousal)

    def _lost(self) -> list[ParticipantPatch]:
        """The participants of whom no event is left."""
        return [
            ParticipantPatch(each, self._names.of(each), 0, 0, 0.0, 0.0, None, "", 0.0, None, None, [], missing)
            for each, missing in self._missing.items()
            if each is not None and each not in self._latest
        ]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)
