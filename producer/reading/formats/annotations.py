"""What subtitles and ELAN show of a lecture: parts of it with a text. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from producer.reading.analysis.chapters import Part
from producer.reading.analysis.names import natural_order
from producer.reading.analysis.sentences import placed, sentence
from producer.reading.summing_up import SummedUp
from worker.contract.messages import ClassEvent, EmotionEvent, Event

NOT_READABLE = "not readable"
HIDDEN = "small group, hidden"

SHORTEST_S = 2.0
"""A moment without a length, such as one departure, is shown for this long."""


@dataclass(frozen=True)
class Span:
    """A text from `start` to `end`, in seconds of media time."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Tier:
    """The spans of one subject; `participant` is the person they are about, if it is one."""

    name: str
    spans: Sequence[Span]
    participant: str | None = None


class DisplayedSpans:
    """What each participant and the class displayed, as spans, from all events of a lecture."""

    def __init__(self, fps: float) -> None:
        """`fps` is the number of frames sampled per second."""
        self._frame_s = 1 / fps
        self._spans: dict[str | None, list[Span]] = {None: []}
        self._frames: dict[str | None, int] = {}

    def add(self, event: Event) -> None:
        """Add an event. Those of each channel come in order."""
        if isinstance(event, EmotionEvent):
            self._extend(event.participant, event, event.emotion or NOT_READABLE)
        elif isinstance(event, ClassEvent) and event.faces:
            scores = event.scores or {HIDDEN if event.hidden else NOT_READABLE: 1.0}
            self._extend(None, event, max(scores, key=scores.__getitem__))

    def tiers(self, lecture: SummedUp) -> list[Tier]:
        """A tier for each participant and for the class (what was displayed most), moments, chapters and slides."""
        slides = _spans(lecture.parts.slides)
        noted = cues(lecture)
        others = {
            "class": self._spans[None],
            "moments": noted["moment"],
            "chapters": noted["chapter"],
            "slides": slides,
        }
        people = []
        for each in sorted(filter(None, self._spans), key=natural_order):
            name = lecture.names.get(each)
            label = f"{name or 'participant'} ({each})" if name or each in others else each
            people.append(Tier(label, self._spans[each], name or each))
        return [*people, *(Tier(name, spans) for name, spans in others.items())]

    def _extend(self, channel: str | None, event: EmotionEvent | ClassEvent, text: str) -> None:
        """Make the last span of a channel longer, or begin a new one. A missing frame ends a span."""
        spans = self._spans.setdefault(channel, [])
        end = event.t + self._frame_s
        if spans and spans[-1].text == text and self._frames[channel] == event.frame - 1:
            spans[-1] = Span(spans[-1].start, end, text)
        else:
            spans.append(Span(event.t, end, text))
        self._frames[channel] = event.frame


def cues(lecture: SummedUp) -> dict[str, list[Span]]:
    """Chapters and moments."""
    return {
        "chapter": _spans(lecture.parts.chapters),
        "moment": [
            Span(each.begin, max(each.end, each.begin + SHORTEST_S), placed(sentence(each), lecture.parts.place).text)
            for each in lecture.moments
        ],
    }


def _spans(parts: Sequence[Part]) -> list[Span]:
    return [Span(each.begin, each.end, each.title) for each in parts]
