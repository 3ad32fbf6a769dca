"""Sums up a lecture in Redis: everything that report, summary, comparison and annotations need of its events."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from producer.reading.analysis.chapters import Parts, SlideTimes
from producer.reading.analysis.losses import Kept, Loss
from producer.reading.analysis.moment import Moment
from producer.reading.analysis.moments import moments
from producer.reading.analysis.names import Names, Roster
from producer.reading.analysis.sentences import Sentence, sentences
from producer.reading.analysis.timeline import Timeline
from producer.reading.analysis.timeline_builder import TimelineBuilder
from producer.reading.follow import replay
from producer.reading.lectures import Lecture, Store, participants
from worker.contract.chapters import Chapter
from worker.contract.messages import Event


@dataclass(frozen=True)
class SummedUp:
    """A lecture, summed up.

    `names` is participant id -> name, and `left_out` participant id -> why they do not count for the class. `unknown`
    are the ids of the roster that a lecture that is over lacks, and `warning` says so, if there are any. `losses` are
    the channels with missing events.
    """

    lecture: Lecture
    timeline: Timeline
    parts: Parts
    names: Mapping[str, str]
    left_out: Mapping[str, str]
    unknown: list[str]
    warning: str
    losses: list[Loss]

    @property
    def running(self) -> bool:
        return self.lecture.info.status == "running"

    @cached_property
    def moments(self) -> list[Moment]:
        """Takes up to some seconds."""
        return moments(self.timeline)

    @cached_property
    def sentences(self) -> list[Sentence]:
        return sentences(self.timeline, self.moments, self.running, self.parts.place)


def summed_up(
    store: Store,
    lecture: Lecture,
    roster: Roster | None = None,
    chapters: Sequence[Chapter] | None = None,
    also: Sequence[Callable[[Event], None]] = (),
) -> SummedUp:
    """Read all events of `lecture` once, and give each to `also` too.

    Participants whom `roster` leaves out do not count for the class. `chapters` replace those of the lecture. Raises
    LectureUnknown if it was forgotten since it was read, and RosterRefused if the roster does not fit the lecture.
    """
    info = lecture.info
    spans = participants(store, lecture.id)
    builder, names, kept, slides = TimelineBuilder(info.fps), Names(roster or Roster()), Kept(), SlideTimes()
    readers = (builder.add, names.add, kept.add, slides.add, *also)
    for event in replay(store, lecture.id):
        for add in readers:
            add(event)
    seen = {*builder.participants, *spans}
    over = info.status != "running"
    left_out = names.left_out(seen)
    timeline = builder.timeline(without=left_out)
    return SummedUp(
        lecture,
        timeline,
        slides.parts(info.chapters if chapters is None else chapters, timeline.seconds),
        {each: name for each in seen if (name := names.of(each)) is not None},
        left_out,
        names.unknown(seen) if over else [],
        names.check(seen) if over else "",
        kept.losses(lecture.id, info, spans),
    )
