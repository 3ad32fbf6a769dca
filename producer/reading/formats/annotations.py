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
class Annotation:
    """A text from `start` to `end`, in seconds of media time."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Tier:
    """The annotations of one subject; `participant` is the person they are about, if it is one."""

    name: str
    annotations: Sequence[Annotation]
    participant: str | None = None


class AnnotationsBuilder:
    """What each participant and the class displayed, as annotations, from all events of a lecture."""

    def __init__(self, fps: float) -> None:
        """`fps` is the number of frames sampled per second."""
        self._frame_s = 1 / fps
        self._displayed: dict[str | None, list[Annotation]] = {None: []}
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
        noted = cues(lecture)
        others = {
            "class": self._displayed[None],
            "moments": noted["moment"],
            "chapters": noted["chapter"],
            "slides": _annotations(lecture.parts.slides),
        }
        people = []
        for each in sorted(filter(None, self._displayed), key=natural_order):
            name = lecture.names.get(each)
            label = f"{name or 'participant'} ({each})" if name or each in others else each
            people.append(Tier(label, self._displayed[each], name or each))
        return [*people, *(Tier(name, annotations) for name, annotations in others.items())]

    def _extend(self, channel: str | None, event: EmotionEvent | ClassEvent, text: str) -> None:
        """Make the last annotation of a channel longer, or begin a new one. A missing frame ends one."""
        annotations = self._displayed.setdefault(channel, [])
        end = event.t + self._frame_s
        if annotations and annotations[-1].text == text and self._frames[channel] == event.frame - 1:
            annotations[-1] = Annotation(annotations[-1].start, end, text)
        else:
            annotations.append(Annotation(event.t, end, text))
        self._frames[channel] = event.frame


def cues(lecture: SummedUp) -> dict[str, list[Annotation]]:
    """Chapters and moments."""
    moments = [
        (each.begin, max(each.end, each.begin + SHORTEST_S), placed(sentence(each), lecture.parts.place))
        for each in lecture.moments
    ]
    return {
        "chapter": _annotations(lecture.parts.chapters),
        "moment": [Annotation(begin, end, words.text) for begin, end, words in moments],
    }


def _annotations(parts: Sequence[Part]) -> list[Annotation]:
    return [Annotation(each.begin, each.end, each.title) for each in parts]
