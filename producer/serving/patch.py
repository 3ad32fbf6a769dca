"""What a live page gets: patches, as JSON."""

from typing import Literal

from msgspec import Struct

from producer.presentation.palette import STACK
from producer.presentation.thresholds import AWAY_S
from producer.reading.analysis.places import Map
from producer.reading.analysis.sentences import NamedTime
from worker.contract.messages import Ledger, Scores

Phase = Literal["waiting", "running", "over", "forgotten"]


class Standing(Struct, frozen=True):
    """The lecture as a whole. `connected` is whether Redis answers, `caught_up` whether all events were read.

    `away_after` is the seconds without a sighting after which a participant is away. `read` counts the frames that
    were read, `fed` is whether a producer feeds the lecture. `started` and `ended` are in seconds since 1970.
    `missing` says which events Redis lacks. `behind` is the seconds from what is fed to what is shown (of a `live`
    source, from now), null if nothing is fed. `expected` is the number of frames of a recording, if it is known.
    The scores of fewer than `min_group` people are hidden.
    """

    phase: Phase = "waiting"
    connected: bool = True
    caught_up: bool = False
    read: int = 0
    status: str | None = None
    reason: str | None = None
    source: str | None = None
    fps: float | None = None
    away_after: float = AWAY_S
    started: float | None = None
    ended: float | None = None
    fed: bool = False
    live: bool = False
    expected: int | None = None
    behind: int | None = None
    ledger: Ledger = Ledger()
    missing: str = ""
    min_group: int = 1


class NewestFrame(Struct, frozen=True):
    """The class in the newest frame. `faces` counts all faces, `read` those that could be read."""

    frame: int
    t: float
    faces: int
    read: int
    scores: Scores | None
    valence: float | None
    arousal: float | None


class ClassBin(Struct, frozen=True, array_like=True):
    """A step of the class: analysed frames, their mean number of faces and of those that could be read, means over the
    latter (null if there are none, or they are hidden; scores in the order of STACK), the margins of valence and
    arousal (null if participants are too few), and the shares of PRESENCE (null if not known)."""

    bin: int
    frames: int
    faces: float
    read: float
    scores: list[float] | None
    valence: float | None
    arousal: float | None
    valence_margin: float | None
    arousal_margin: float | None
    presence: list[float | None] | None


class ParticipantBin(Struct, frozen=True, array_like=True):
    """A step of a participant: the frames in which they were seen, the emotion displayed most, as its index in STACK
    (null if no face could be read), and its mean score."""

    bin: int
    frames: int
    emotion: int | None
    strength: float


class ParticipantPatch(Struct, frozen=True):
    """A participant's last sighting, number of frames, and changed steps.

    `unread` counts the frames in which the face could not be read. In the last one the emotion is then null, and
    `reason` says why.
    `missing` says how many of their events Redis lacks. If `frames` is 0 it lacks all, and nothing else is known.
    `left_out` says why they do not count for the class, if so.
    """

    id: str
    name: str | None
    frames: int
    unread: int
    first: float
    last: float
    emotion: str | None
    reason: str
    score: float
    valence: float | None
    arousal: float | None
    bins: list[ParticipantBin]
    missing: str
    map: Map | None = None
    left_out: str = ""


class MomentLine(Struct, frozen=True):
    """A moment from `t` to `end`, and its change in words."""

    t: float
    end: float
    kind: str
    words: str


NamedParts = dict[Literal["chapters", "slides"], list[tuple[float, str]]]


class Patch(Struct, frozen=True):
    """The changes since an edition. A `whole` patch holds everything; the page drops all that it had before.

    `width` is the seconds of a bin, `length` the number of bins. `sentences` are text, and between it times in
    seconds or places (seconds and name). `parts` are the chapters and the slides, each (begin in seconds, title); null
    if they are those of the edition before.
    """

    lecture: str
    whole: bool
    standing: Standing
    width: float
    length: int
    now: NewestFrame | None
    bins: list[ClassBin]
    participants: list[ParticipantPatch]
    moments: list[MomentLine]
    sentences: list[tuple[str | float | NamedTime, ...]]
    parts: NamedParts | None = None
    emotions: tuple[str, ...] = STACK
