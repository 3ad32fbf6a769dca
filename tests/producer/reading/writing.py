"""Writes lectures to Redis as a commit does: all events of some frames in one transaction."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import redis

from producer.reading.analysis.timeline import Timeline
from producer.reading.analysis.timeline_builder import TimelineBuilder
from producer.reading.lectures import participants
from tests.lectures import begin_lecture
from worker.contract.keys import LectureKeys
from worker.contract.messages import (
    EMOTIONS,
    ClassEvent,
    EmotionEvent,
    EndEvent,
    Event,
    FinalStatus,
    Ledger,
    ParticipantSpan,
    encode,
)
from worker.contract.streams import EVENT_FIELD

SCORES = dict.fromkeys(EMOTIONS, 0.04) | {"happiness": 0.76}


def begin(client: redis.Redis, lecture: str, started: float = 1000.0) -> LectureKeys:
    return begin_lecture(client, lecture, started, (640, 360))


def emotion(lecture: str, participant: str, frame: int, shown: str = "happiness") -> EmotionEvent:
    return EmotionEvent(
        lecture, participant, frame, frame / 2, (1, 2, 30, 40), 0.9, shown, SCORES, SCORES, 0.5, 0.25, {}, "m1"
    )


def class_(lecture: str, frame: int, faces: int) -> ClassEvent:
    return ClassEvent(lecture, frame, frame / 2, faces, SCORES if faces else None, None, None, "m1")


def frame_events(lecture: str, frame: int, present: Collection[str]) -> list[Event]:
    """The events of a frame in the order of `follow`."""
    return [*(emotion(lecture, each, frame) for each in sorted(present)), class_(lecture, frame, len(present))]


def commit(client: redis.Redis, lecture: str, events: Sequence[Event]) -> None:
    """Write `events` in one transaction, the class first: the most difficult order for readers."""
    keys = LectureKeys(lecture)
    seen = Counter({each: span.frames for each, span in participants(client, lecture).items()})
    with client.pipeline(transaction=True) as together:
        for event in sorted(events, key=lambda each: isinstance(each, EmotionEvent)):
            if isinstance(event, EmotionEvent):
                together.xadd(keys.participant(event.participant), {EVENT_FIELD: encode(event)})
                seen[event.participant] += 1
                span = encode(ParticipantSpan(0.0, event.t, seen[event.participant]))
                together.hset(keys.participants, event.participant, span)
            else:
                together.xadd(keys.class_, {EVENT_FIELD: encode(event)})
                together.hincrby(keys.info, "published", 1)
                together.hincrby(keys.info, "sampled", 1)
        together.execute()


def end(client: redis.Redis, lecture: str, status: FinalStatus = "done") -> EndEvent:
    keys = LectureKeys(lecture)
    event = EndEvent(lecture, status, None, Ledger())
    known: Any = client.hkeys(keys.participants)
    with client.pipeline(transaction=True) as together:
        for participant in known:
            together.xadd(keys.participant(participant.decode()), {EVENT_FIELD: encode(event)})
        together.xadd(keys.class_, {EVENT_FIELD: encode(event)})
        together.hset(keys.info, "status", status)
        together.delete(keys.state, keys.in_flight)
        together.execute()
    return event


def write(client: redis.Redis, lecture: str, frames: Sequence[Collection[str]], per_commit: int = 4) -> list[Event]:
    """A whole lecture in which `frames[n]` were present in frame n; its events in the order of `follow`."""
    begin(client, lecture)
    events = [frame_events(lecture, frame, present) for frame, present in enumerate(frames)]
    for n in range(0, len(events), per_commit):
        commit(client, lecture, [event for frame in events[n : n + per_commit] for event in frame])
    return [*(event for frame in events for event in frame), end(client, lecture)]


def timeline_of(
    frames: Iterable[Sequence[Event]], fps: float = 2.0, without: Sequence[str] = (), class_only: bool = False
) -> Timeline:
    """The timeline of the events of some frames; with `class_only`, of the class events alone, which come last."""
    builder = TimelineBuilder(fps)
    for events in frames:
        for event in events[-1:] if class_only else events:
            builder.add(event)
    return builder.timeline(without)
