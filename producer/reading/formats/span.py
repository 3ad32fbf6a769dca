"""Parts of a lecture with a text: what subtitles and annotations are made of."""

from collections.abc import Mapping
from dataclasses import dataclass

from worker.contract.messages import ClassEvent, EmotionEvent, Event

NOT_READABLE = "not readable"


@dataclass(frozen=True)
class Span:
    """A text from `start` to `end`, in seconds of media time."""

    start: float
    end: float
    text: str


class DisplayedSpans:
    """What each participant, and the class, displayed most: neighbouring frames with the same emotion are one span.

    A frame lasts `1 / fps` seconds. A frame without the participant, or without a face, ends a span.
    """

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._spans: dict[str | None, list[Span]] = {None: []}
        self._frames: dict[str | None, int] = {}

    def add(self, event: Event) -> None:
        """Add an event. Those of each channel come in order."""
        if isinstance(event, EmotionEvent):
            self._extend(event.participant, event.frame, event.t, event.emotion or NOT_READABLE)
        elif isinstance(event, ClassEvent) and event.faces:
            scores = event.scores
            self._extend(None, event.frame, event.t, max(scores, key=scores.__getitem__) if scores else NOT_READABLE)

    @property
    def people(self) -> Mapping[str, list[Span]]:
        return {each: spans for each, spans in self._spans.items() if each is not None}

    @property
    def of_class(self) -> list[Span]:
        return self._spans[None]

    def _extend(self, channel: str | None, frame: int, t: float, text: str) -> None:
        spans = self._spans.setdefault(channel, [])
        end = t + 1 / self._fps
        if spans and spans[-1].text == text and self._frames[channel] == frame - 1:
            spans[-1] = Span(spans[-1].start, end, text)
        else:
            spans.append(Span(t, end, text))
        self._frames[channel] = frame
