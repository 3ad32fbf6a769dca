"""What a report shows, before it is words, tables and charts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from producer.reading.analysis.boxes import Boxes
from producer.reading.analysis.chapters import Parts
from producer.reading.analysis.losses import Loss
from producer.reading.analysis.moment import Moment
from producer.reading.analysis.places import Place
from producer.reading.analysis.sentences import Sentence
from producer.reading.analysis.timeline import Timeline
from producer.reading.lectures import Lecture
from producer.reading.report.model_tests import ModelTests


@dataclass(frozen=True)
class Content:
    """Everything that a report shows. `names` is participant id -> name; `made` is the time of the report.

    `losses` are the channels with missing events. `boxes` is None if single participants are left out. `places` has
    where each participant was shown, `left_out` the reason why somebody does not count for the class.
    """

    lecture: Lecture
    timeline: Timeline
    moments: list[Moment]
    sentences: list[Sentence]
    names: Mapping[str, str]
    tested: ModelTests | None
    made: datetime
    losses: list[Loss] = field(default_factory=list)
    parts: Parts = field(default_factory=Parts)
    boxes: Boxes | None = None
    places: Mapping[str, Place] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the lecture's picture, in pixels."""
        return self.lecture.info.width, self.lecture.info.height

    @property
    def few(self) -> str:
        """The groups whose scores are hidden, like `fewer than 5 people`; empty if none are."""
        smallest = self.lecture.info.min_group
        return f"fewer than {smallest} people" if smallest > 1 else ""

    def label(self, participant: str) -> str:
        """The name and id of a participant, or the id alone."""
        return f"{self.names[participant]} ({participant})" if participant in self.names else participant

    @property
    def class_lost(self) -> bool:
        """Whether no event of the class is left, although there were some."""
        return any(each.participant is None and each.complete for each in self.losses)
