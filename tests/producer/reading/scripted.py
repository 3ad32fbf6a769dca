"""Scripted lectures: a function of participant and frame gives the displayed emotion."""

from collections.abc import Callable, Iterator, Sequence

import redis
from msgspec.structs import replace

from producer.reading.analysis.timeline import Timeline
from tests.producer.reading.writing import begin, commit, end, timeline_of
from worker.contract.messages import EMOTIONS, UNREADABLE, ClassEvent, EmotionEvent, Event, Scores

Shows = Callable[[int, int], str | None]
"""(participant, frame) -> the displayed emotion, or a reason why the face cannot be read; None if it is not seen."""

VALENCE = dict(zip(EMOTIONS, (-0.51, -0.60, -0.64, 0.81, -0.63, 0.40, 0.0), strict=True))


def scores_of(emotion: str, share: float = 0.88) -> Scores:
    rest = (1 - share) / (len(EMOTIONS) - 1)
    return {each: share if each == emotion else rest for each in EMOTIONS}


def mean_valence(scores: Scores) -> float:
    return sum(VALENCE[emotion] * share for emotion, share in scores.items())


def scripted_events(
    people: int,
    frames: int,
    shows: Shows,
    fps: float = 2.0,
    share: float = 0.88,
    version: str = "m1",
    lecture: str = "l",
    skipped: Sequence[int] = (),
) -> Iterator[list[Event]]:
    """The events of each frame but those `skipped`, of participants p01, p02, ..."""
    for frame in range(frames):
        if frame in skipped:
            continue
        sightings: list[EmotionEvent] = []
        for person in range(people):
            shown = shows(person, frame)
            if shown is not None:
                sightings.append(_emotion(lecture, f"p{person + 1:02d}", frame, frame / fps, shown, share, version))
        yield [*sightings, _class(lecture, frame, frame / fps, sightings, version)]


def scripted_timeline(
    people: int,
    frames: int,
    shows: Shows,
    fps: float = 2.0,
    version: str = "m1",
    skipped: Sequence[int] = (),
    class_only: bool = False,
) -> Timeline:
    """The timeline of those events; with `class_only`, of the class events alone."""
    lecture = scripted_events(people, frames, shows, fps, version=version, skipped=skipped)
    return timeline_of(lecture, fps, class_only=class_only)


def hidden_below(smallest: int, frames: Iterator[list[Event]]) -> Iterator[list[Event]]:
    """The class events alone; without scores where fewer than `smallest` faces could be read."""
    for *_, event in frames:
        if isinstance(event, ClassEvent) and 0 < event.faces - event.unreadable < smallest:
            event = replace(event, scores=None, valence=None, arousal=None, hidden=True)
        yield [event]


def write_scripted(client: redis.Redis, frames: Iterator[list[Event]], lecture: str = "l", ended: bool = True) -> None:
    """A whole lecture in Redis, as a commit writes it."""
    begin(client, lecture)
    for events in frames:
        commit(client, lecture, events)
    if ended:
        end(client, lecture)


def _emotion(
    lecture: str, participant: str, frame: int, t: float, shown: str, share: float, version: str
) -> EmotionEvent:
    if shown in UNREADABLE:
        return unreadable(lecture, participant, frame, t, shown, version)
    scores = scores_of(shown, share)
    models = {"mobilenetv2": shown, "inceptionv3": shown, "resnet50v2": "neutral"}
    valence = mean_valence(scores)
    return EmotionEvent(
        lecture, participant, frame, t, (1, 2, 30, 40), 0.9, shown, scores, scores, valence, 0.25, models, version
    )


def unreadable(lecture: str, participant: str, frame: int, t: float, reason: str, version: str = "m1") -> EmotionEvent:
    """The sighting of a face that cannot be read."""
    nothing = (None, None, None, None, None)
    box = (1, 2, 30, 40)
    return EmotionEvent(lecture, participant, frame, t, box, 0.9, *nothing, {}, version, False, reason)


def _class(lecture: str, frame: int, t: float, sightings: list[EmotionEvent], version: str) -> ClassEvent:
    read = [event.scores for event in sightings if event.scores is not None]
    unread = len(sightings) - len(read)
    if not read:
        return ClassEvent(lecture, frame, t, len(sightings), None, None, None, version, unread)
    mean = {each: sum(scores[each] for scores in read) / len(read) for each in EMOTIONS}
    return ClassEvent(lecture, frame, t, len(sightings), mean, mean_valence(mean), 0.25, version, unread)
