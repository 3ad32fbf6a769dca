"""Sums up a lecture in Redis: its moments, and the sentences about it."""

from dataclasses import dataclass

import redis

from producer.reading.analysis.chapters import SlideTimes
from producer.reading.analysis.losses import Kept, Loss
from producer.reading.analysis.moment import Moment
from producer.reading.analysis.moments import moments
from producer.reading.analysis.names import Roster
from producer.reading.analysis.sentences import Sentence, placed, sentences
from producer.reading.analysis.timeline import TimelineBuilder
from producer.reading.follow import replay
from producer.reading.lectures import participants, read_lecture
from producer.reading.roster import names_in


@dataclass(frozen=True)
class SummedUp:
    """`running` is whether the lecture goes on; `losses` are the channels with missing events."""

    sentences: list[Sentence]
    moments: list[Moment]
    running: bool
    losses: list[Loss]


def summed_up(client: redis.Redis, lecture: str, roster: Roster | None = None) -> SummedUp:
    """The moments of `lecture` and the sentences about it, without those whom `roster` leaves out of the class.

    Raises LectureUnknown, and RosterRefused if the roster does not fit the lecture.
    """
    found = read_lecture(client, lecture)
    spans = participants(client, lecture)
    builder, kept, slides = TimelineBuilder(found.info.fps), Kept(), SlideTimes()
    for event in replay(client, lecture):
        builder.add(event)
        kept.add(event)
        slides.add(event)
    left_out = names_in(client, lecture, roster).left_out(spans) if roster is not None else ()
    timeline, running = builder.timeline(without=left_out), found.info.status == "running"
    worth = moments(timeline)
    parts = slides.parts(found.info.chapters, timeline.seconds)
    words = [placed(each, parts.place) for each in sentences(timeline, worth, running)]
    return SummedUp(words, worth, running, kept.losses(lecture, found.info, spans))
