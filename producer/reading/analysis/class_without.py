"""The class without those whom a roster leaves out: class events made anew from the events of the others."""

from collections.abc import Collection, Sequence

from msgspec import UNSET
from msgspec.structs import replace

from worker.contract.messages import ClassEvent, EmotionEvent, Event
from worker.contract.usual import mean_of

DIGITS = 4


class ClassWithout:
    """Takes the events of a lecture in the order of `follow`, in which a frame's people come before its class."""

    def __init__(self, left_out: Collection[str]) -> None:
        self._left_out = left_out
        self._frame = -1
        self._counted: list[EmotionEvent] = []

    def of(self, event: Event) -> Event:
        """The event; that of a class is made of those who count."""
        if not self._left_out:
            return event
        if isinstance(event, EmotionEvent) and event.frame >= self._frame:
            if event.frame > self._frame:
                self._frame, self._counted = event.frame, []
            if event.participant not in self._left_out:
                self._counted.append(event)
        if isinstance(event, ClassEvent):
            return _class_of(event, self._counted if event.frame == self._frame else [])
        return event


def _class_of(event: ClassEvent, counted: Sequence[EmotionEvent]) -> ClassEvent:
    read = [each for each in counted if each.scores is not None]
    poses = [each.pose for each in counted if each.pose is not UNSET]
    return replace(
        event,
        faces=len(counted),
        scores=mean_of([each.scores for each in read if each.scores is not None]),
        valence=_mean([each.valence for each in read if each.valence is not None]),
        arousal=_mean([each.arousal for each in read if each.arousal is not None]),
        unreadable=len(counted) - len(read),
        turned_away=sum(pose.turned_away for pose in poses) if len(poses) == len(counted) else UNSET,
    )


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), DIGITS) if values else None
