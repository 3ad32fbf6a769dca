"""Folding: the outcomes of consecutive chunks become events and the lecture's next state."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import groupby

import msgspec
import numpy as np
from msgspec import UNSET, structs

from worker.contract.messages import (
    EMOTIONS,
    ClassEvent,
    EmotionEvent,
    Ending,
    FrameStamp,
    LectureProgress,
    ParticipantSpan,
    Scores,
    SlideEvent,
)
from worker.contract.reasons import FailureReason
from worker.contract.usual import counted, mean_of, usual
from worker.folding.affect import valence_and_arousal
from worker.folding.participants import IdentifiedSighting, TrackerState, advance
from worker.folding.slides import NewSlide, SlideState, advance_slides
from worker.folding.small_groups import Group, advance_group
from worker.outcome import Outcome, ScoreVector

SCORE_DIGITS = 4


class LectureState(LectureProgress, frozen=True):
    """All that a lecture carries from chunk to chunk. The producer writes the first: its choices alone.

    `trackers` maps each named person to the tracker of their recording. A source without names has the one under "".
    `scores` counts each participant's scores, for their usual (`worker.contract.usual`). `group` has those who count
    for the class, if small groups stay hidden.
    """

    # The stored name differs, because lectures may run across an upgrade.
    trackers: dict[str, TrackerState] = msgspec.field(default_factory=dict, name="rosters")
    spans: dict[str, ParticipantSpan] = msgspec.field(default_factory=dict)
    slides: SlideState | None = None
    scores: dict[str, bytes] = msgspec.field(default_factory=dict)
    group: Group = Group()


@dataclass
class Folded:
    """The result of folding a few chunks: the new state, and everything to publish and to count."""

    state: LectureState
    emotions: list[EmotionEvent] = field(default_factory=list)
    class_channel: list[ClassEvent | SlideEvent] = field(default_factory=list)
    published: int = 0
    damaged: int = 0
    failed: Counter[FailureReason] = field(default_factory=Counter)
    ending: Ending | None = None


def fold(lecture: str, state: LectureState, outcomes: list[Outcome], frames: list[int]) -> Folded:
    """Fold the outcomes of consecutive chunks into a lecture; `frames` is the number of frames of each chunk.

    Every frame is either published or failed. If one picture of a frame failed, the frame failed: it has no class
    event, because part of the class was not seen. Participants seen in its other pictures still get their events.
    """
    folded = Folded(state)
    trackers, spans, slides, group = dict(state.trackers), dict(state.spans), state.slides, state.group
    read: defaultdict[str, list[ScoreVector]] = defaultdict(list)
    for outcome, count in zip(outcomes, frames, strict=True):
        if outcome.failure is not None:
            folded.failed[outcome.failure] += count
        folded.failed.update(outcome.failed.values())
        for number, pictures in groupby(outcome.frames, key=lambda picture: picture.stamp.frame):
            sightings: list[IdentifiedSighting] = []
            made_known: list[NewSlide] = []
            damaged = False
            for picture in pictures:
                damaged |= picture.stamp.damaged
                only = picture.stamp.participant or state.participant
                tracker, more = advance(trackers.get(only or "", TrackerState(only=only)), picture)
                trackers[only or ""] = tracker
                sightings += more
                if picture.slide is not None and not picture.stamp.damaged:
                    slides, new = advance_slides(slides, picture.slide, number, picture.stamp.t)
                    made_known += new
            if number not in outcome.failed:
                present = [one for one in sightings if one.sighting.frame == number]  # not late ones of earlier frames
                group, mean = _class_mean(group, present, picture.stamp.t, state.min_group)
                event = _class_event(lecture, picture.stamp, present, mean, outcome.model_version, state.min_group)
                folded.class_channel.append(structs.replace(event, damaged=True) if damaged else event)
                folded.published += 1
                folded.damaged += damaged
            folded.class_channel += [SlideEvent(lecture, each.frame, each.t, each.number) for each in made_known]
            for one in sightings:
                if one.sighting.face.scores is not None:
                    read[one.participant].append(one.sighting.face.scores)
            if not state.class_only:
                folded.emotions += [_emotion_event(lecture, one, outcome.model_version) for one in sightings]
                for one in sightings:
                    spans[one.participant] = _extended(spans.get(one.participant), one.sighting.t)
        folded.ending = outcome.ending or folded.ending
    next_chunk = state.next_chunk + len(outcomes)
    scores = {**state.scores, **{who: counted(state.scores.get(who, b""), more) for who, more in read.items()}}
    folded.state = structs.replace(
        state, next_chunk=next_chunk, trackers=trackers, spans=spans, scores=scores, slides=slides, group=group
    )
    return folded


def usuals(state: LectureState) -> dict[str | None, Scores]:
    """Participant -> the usual of those whose face could be read; under None that of the class, the mean of them.

    If small groups stay hidden, it is the mean of the group that counts for the class, and missing without one.
    """
    own: dict[str | None, Scores] = {
        who: found for who, counts in state.scores.items() if (found := usual(counts)) is not None
    }
    of_class = mean_of([each for who, each in own.items() if state.min_group <= 1 or who in state.group.members])
    return own if of_class is None else {**own, None: of_class}


def accounts_for(outcome: Outcome, frames: int) -> bool:
    """Whether the outcome publishes or fails each of the chunk's frames exactly once, as the ledger needs."""
    observed = [frame for frame, _ in groupby(outcome.frames, key=lambda picture: picture.stamp.frame)]
    accounted = {*observed, *outcome.failed}
    if outcome.failure is not None:
        return not accounted and outcome.ending is None
    once = len(observed) == len(set(observed))
    return once and len(accounted) == frames and (outcome.ending is None or frames == 0)


def _emotion_event(lecture: str, identified: IdentifiedSighting, model_version: str) -> EmotionEvent:
    sighting = identified.sighting
    face = sighting.face
    x, y, w, h = map(round, face.box)
    valence, arousal = _affect(face.scores)
    return EmotionEvent(
        lecture=lecture,
        participant=identified.participant,
        frame=sighting.frame,
        t=sighting.t,
        box=(x, y, w, h),
        detection=round(face.detection, SCORE_DIGITS),
        emotion=None if face.scores is None else EMOTIONS[face.scores.index(max(face.scores))],
        scores=_scores(face.scores),
        smoothed=None if face.scores is None else _scores(sighting.smoothed),
        valence=valence,
        arousal=arousal,
        models=face.models,
        model_version=model_version,
        readable=face.scores is not None,
        reason=face.unreadable or UNSET,
        pose=face.pose or UNSET,
    )


def _class_mean(
    group: Group, present: list[IdentifiedSighting], t: float, smallest: int
) -> tuple[Group, ScoreVector | None]:
    """The mean scores of the class in a frame, None if they stay hidden or nobody was read; and the next group."""
    read = {one.participant: one.sighting.face.scores for one in present}
    scores = {who: each for who, each in read.items() if each is not None}
    if smallest > 1:
        return advance_group(group, scores, t, smallest)
    return group, tuple(np.mean(list(scores.values()), axis=0).tolist()) if scores else None


def _class_event(
    lecture: str,
    stamp: FrameStamp,
    sightings: list[IdentifiedSighting],
    mean: ScoreVector | None,
    model_version: str,
    smallest: int,
) -> ClassEvent:
    """The event of a frame with these sightings, whose class has the `mean` scores."""
    present = [one.sighting.face for one in sightings]
    unreadable = sum(face.scores is None for face in present)
    poses = [face.pose for face in present if face.pose is not None]
    enough = len(present) >= smallest or not present
    valence, arousal = _affect(mean)
    return ClassEvent(
        lecture=lecture,
        frame=stamp.frame,
        t=stamp.t,
        faces=len(present),
        scores=_scores(mean),
        valence=valence,
        arousal=arousal,
        model_version=model_version,
        unreadable=unreadable,
        turned_away=sum(pose.turned_away for pose in poses) if enough and len(poses) == len(present) else UNSET,
        hidden=True if mean is None and unreadable < len(present) else UNSET,
    )


def _affect(scores: ScoreVector | None) -> tuple[float, float] | tuple[None, None]:
    """Valence and arousal as published; None of a face that cannot be read."""
    if scores is None:
        return None, None
    valence, arousal = valence_and_arousal(scores)
    return round(valence, SCORE_DIGITS), round(arousal, SCORE_DIGITS)


def _scores(values: ScoreVector | None) -> Scores | None:
    return values and {emotion: round(value, SCORE_DIGITS) for emotion, value in zip(EMOTIONS, values, strict=True)}


def _extended(span: ParticipantSpan | None, t: float) -> ParticipantSpan:
    return ParticipantSpan(t, t, 1) if span is None else ParticipantSpan(span.first, max(span.last, t), span.frames + 1)
