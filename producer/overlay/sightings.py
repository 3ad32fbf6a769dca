"""What is drawn at each time of a lecture: the sightings of its events."""

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from producer.reading.analysis.boxes import STAYS_FRAMES
from producer.reading.analysis.names import Names
from worker.contract.messages import EmotionEvent, Event, PixelBox

ROUNDING_S = 0.002


class Sighting(NamedTuple):
    """A face: its box in pixels of a picture with the lecture's size, and its label.

    `emotion` is None if the face could not be read.
    """

    box: PixelBox
    label: str
    emotion: str | None


class Sightings:
    """The sightings of a lecture by time. `last` is the time of its last event in seconds, -1 without any."""

    def __init__(self, events: Iterable[Event], names: Names | None, fps: float) -> None:
        """`names` has seen all events before; `fps` is the number of frames sampled per second."""
        self.participants: set[str] = set()
        self.last = -1.0
        self._stays_s = STAYS_FRAMES / fps
        frames: dict[float, list[Sighting]] = {}
        for event in events:
            self.last = max(self.last, getattr(event, "t", -1.0))
            if isinstance(event, EmotionEvent):
                self.participants.add(event.participant)
                frames.setdefault(event.t, []).append(_sighting(event, names))
        self._frames = sorted(frames.items())
        self._times = [t for t, _ in self._frames]

    def at(self, t: float) -> list[Sighting]:
        """The sightings at media time `t` in seconds: those of the last frame, if it is not too old."""
        place = bisect_right(self._times, t + ROUNDING_S) - 1
        return self._frames[place][1] if place >= 0 and t - self._times[place] < self._stays_s else []


def _sighting(event: EmotionEvent, names: Names | None) -> Sighting:
    name = (names.of(event.participant) if names else None) or event.participant
    if event.emotion is None:
        return Sighting(event.box, f"{name} not readable: {event.reason or 'unknown'}", None)
    share = (event.scores or {}).get(event.emotion, 0.0)
    return Sighting(event.box, f"{name} {event.emotion} {share:.0%}", event.emotion)
