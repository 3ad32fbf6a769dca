"""What subtitles and ELAN show of a lecture: parts of it with a text. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from producer.reading.analysis.chapters import SlideTimes
from producer.reading.analysis.losses import Loss
from producer.reading.analysis.moments import moments
from producer.reading.analysis.names import Names, natural_order
from producer.reading.analysis.sentences import placed, sentence
from producer.reading.analysis.timeline import TimelineBuilder
from worker.contract.lecture_hash import LectureInfo
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


class Annotations:
    """The annotations of a lecture, after all of its events were added."""

    def __init__(self, info: LectureInfo) -> None:
        self._chapters = info.chapters
        self._fps = info.fps
        self._timeline = TimelineBuilder(info.fps)
        self._slides = SlideTimes()
        self._displayed: dict[str | None, list[Span]] = {None: []}
        self._frames: dict[str | None, int] = {}

    def add(self, event: Event | Loss) -> None:
        """Add an event. Those of each channel come in order."""
        if isinstance(event, Loss):
            return
        self._timeline.add(event)
        self._slides.add(event)
        if isinstance(event, EmotionEvent):
            self._extend(event.participant, event, event.emotion or NOT_READABLE)
        elif isinstance(event, ClassEvent) and event.faces:
            scores = event.scores or {HIDDEN if event.hidden else NOT_READABLE: 1.0}
            self._extend(None, event, max(scores, key=scores.__getitem__))

    def cues(self, names: Names | None) -> dict[str, list[Span]]:
        """Chapters and moments."""
        noted = self._noted(names)
        return {"chapter": noted["chapters"], "moment": noted["moments"]}

    def tiers(self, names: Names | None) -> list[Tier]:
        """A tier for each participant and for the class (what was displayed most), moments, chapters and slides."""
        others = {"class": self._displayed[None], **self._noted(names)}
        people = []
        for each in sorted(filter(None, self._displayed), key=natural_order):
            name = names.of(each) if names is not None else None
            label = f"{name or 'participant'} ({each})" if name or each in others else each
            people.append(Tier(label, self._displayed[each], name or each))
        return [*people, *(Tier(name, spans) for name, spans in others.items())]

    def _extend(self, channel: str | None, event: EmotionEvent | ClassEvent, text: str) -> None:
        """Make the last span of a channel longer, or begin a new one. A missing frame ends a span."""
        spans = self._displayed.setdefault(channel, [])
        end = event.t + 1 / self._fps
        if spans and spans[-1].text == text and self._frames[channel] == event.frame - 1:
            spans[-1] = Span(spans[-1].start, end, text)
        else:
            spans.append(Span(event.t, end, text))
        self._frames[channel] = event.frame

    def _noted(self, names: Names | None) -> dict[str, list[Span]]:
        """The spans of moments, chapters and slides."""
        left_out = names.left_out(self._timeline.participants) if names is not None else ()
        timeline = self._timeline.timeline(without=left_out)
        parts = self._slides.parts(self._chapters, timeline.seconds)
        return {
            "moments": [
                Span(each.begin, max(each.end, each.begin + SHORTEST_S), placed(sentence(each), parts.place).text)
                for each in moments(timeline)
            ],
            "chapters": [Span(each.begin, each.end, each.title) for each in parts.chapters],
            "slides": [Span(each.begin, each.end, each.title) for each in parts.slides],
        }
