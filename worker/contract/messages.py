"""The messages that cross Redis: frozen values, each with one JSON form. Pure.

A reader ignores fields that it does not know, and refuses values of a wrong type.
"""

from typing import Annotated, Literal, TypeVar, cast, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from worker.contract import keys
from worker.contract.lifetimes import RETENTION_S
from worker.contract.limits import (
    MAX_CHUNK_BYTES,
    MAX_CHUNK_PICTURES,
    MAX_FRAME_PIXELS,
    MAX_IGNORED,
    MAX_PARTICIPANTS,
    MAX_RETENTION_S,
    LimitExceeded,
)

EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""The seven labels, in the order of every list of scores."""

TURNED_AWAY_DEG = 30
"""A head that is turned to a side by more than this is turned away. docs/pose.md has the measurement behind it."""

Unreadable = Literal["small", "turned", "dark", "blurred"]
"""Why a face cannot be read: the words of `EmotionEvent.reason`, in the order in which they are checked."""

UNREADABLE: tuple[Unreadable, ...] = get_args(Unreadable)

Scores = dict[str, float]
"""Emotion -> probability, in the order of EMOTIONS. The sum is one, except for rounding."""

Status = Literal["running", "done", "failed", "stopped"]
FinalStatus = Literal["done", "failed", "stopped"]

NonNegative = Annotated[int, Meta(ge=0, le=2**53)]  # larger integers are not exact for every reader of JSON
PixelCount = Annotated[int, Meta(ge=1, le=2**16)]
Id = Annotated[str, Meta(pattern=rf"\A{keys.ID}\Z")]
Seconds = Annotated[float, Meta(ge=0, le=2**40)]
GroupSize = Annotated[int, Meta(ge=1, le=MAX_PARTICIPANTS)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Degrees = Annotated[int, Meta(ge=-180, le=180)]
Pixel = Annotated[int, Meta(ge=-(2**53), le=2**53)]
PixelBox = tuple[Pixel, Pixel, Pixel, Pixel]
"""x, y, width, height in pixels of the source frame."""


class LectureChoices(Struct, frozen=True):
    """The choices made when a lecture begins: the first value of `LectureKeys.state`.

    `participant` is the one person of the recording, if the user named one. With `class_only`, nothing is published per
    person. `retention` is the number of seconds for which results are kept after their last change. What fewer than
    `min_group` people displayed stays hidden (docs/privacy.md). Only the part of a recording from `begin` to `end`
    (seconds) is read; None means its own begin or end. Faces whose middle is in one of the regions `ignored` do not
    count.
    """

    participant: Id | None = None
    class_only: bool = False
    retention: Annotated[int, Meta(ge=1, le=MAX_RETENTION_S)] = RETENTION_S
    min_group: GroupSize = 1
    begin: Seconds | None = None
    end: Seconds | None = None
    ignored: Annotated[tuple[PixelBox, ...], Meta(max_length=MAX_IGNORED)] = ()


class LectureProgress(LectureChoices, frozen=True):
    """The progress of a lecture: the part of `LectureKeys.state` that the producer reads.

    All chunks below `next_chunk` are committed. If nothing is in flight, the next chunk to be fed must have this
    number, also when a lecture is resumed. (A chunk with an ending has a number like any other.)
    """

    next_chunk: NonNegative = 0


class FrameStamp(Struct, frozen=True, omit_defaults=True):
    """One picture of a sampled frame: the frame's number, counted from 0 without gaps, and its media time in seconds.

    If a lecture has several recordings, the frame has a picture of each, one after the other in one chunk, with the
    same number and time. `participant` is then the person of the recording, `size` its width and height in pixels. If
    it is `damaged`, the picture is not as it was recorded, because data of the source is damaged or lost.
    """

    frame: NonNegative
    t: Seconds
    participant: Id | None = None
    size: tuple[PixelCount, PixelCount] | None = None
    damaged: bool = False


class Ending(Struct, frozen=True):
    """How a lecture ended, and the reason if its source did not just end."""

    status: FinalStatus
    reason: str | None = None


class ChunkHead(Struct, frozen=True):
    """All of a chunk except its pixels.

    `width` and `height` are those of the source frame; the JPEGs may be smaller. `taken` is the time of its oldest
    frame by the producer's clock, in seconds since 1970. The chunk with an `ending` is the last one and has no frames.
    In the regions `ignored` of each picture, faces and slides do not count (`LectureChoices`).
    """

    frames: Annotated[list[FrameStamp], Meta(max_length=MAX_CHUNK_PICTURES)]
    width: PixelCount
    height: PixelCount
    ending: Ending | None = None
    taken: float | None = None
    ignored: Annotated[tuple[PixelBox, ...], Meta(max_length=MAX_IGNORED)] = ()
    v: Literal[1] = 1

    @property
    def frame_count(self) -> int:
        """The number of sampled frames; a frame may have several pictures."""
        return len({stamp.frame for stamp in self.frames})


class Chunk(Struct, frozen=True):
    """A chunk of frames: `jpegs[i]` is the picture of `head.frames[i]`."""

    head: ChunkHead
    jpegs: list[bytes]

    def to_hash(self) -> dict[str, bytes]:
        """The fields of the Redis hash that holds the chunk: `head`, and the number of each picture."""
        pictures = {str(i): jpeg for i, jpeg in enumerate(self.jpegs)}
        return {"head": msgspec.json.encode(self.head), **pictures}

    @classmethod
    def from_hash(cls, fields: dict[bytes, bytes]) -> "Chunk":
        """The chunk from its Redis hash; ValueError if the fields are not those of a chunk, or it is too large."""
        try:
            head = decode(fields[b"head"], ChunkHead)
            jpegs = [fields[str(i).encode()] for i in range(len(head.frames))]
        except KeyError as missing:
            raise ValueError(f"the chunk lacks its field {missing}") from None
        chunk = cls(head, jpegs)
        chunk.check()
        return chunk

    def check(self) -> None:
        """Raise LimitExceeded if the chunk is larger than `limits` allow."""
        width, height = self.head.width, self.head.height
        if width * height > MAX_FRAME_PIXELS:
            raise LimitExceeded(f"{width}x{height} pixels; no frame may have more than {MAX_FRAME_PIXELS}")
        if self.size > MAX_CHUNK_BYTES:
            raise LimitExceeded(f"{self.size} bytes of pictures; no chunk may have more than {MAX_CHUNK_BYTES}")

    @property
    def size(self) -> int:
        """Bytes of all pictures."""
        return sum(map(len, self.jpegs))


class InFlight(Struct, frozen=True):
    """The size of a chunk in flight, in frames and in bytes, for the ledger and the back-pressure."""

    frames: NonNegative
    size: NonNegative


class ParticipantSpan(Struct, frozen=True):
    """The first and last sighting of a participant, in seconds of media time, and the number of frames with one."""

    first: float
    last: float
    frames: NonNegative


class Ledger(Struct, frozen=True):
    """What became of all sampled frames.

    `reasons` counts frames by `dropped:REASON` and `failed:REASON`, as `published:damaged` those that were published
    with a damaged picture, and as `published:other_models` those that were read by other models than the first frame.
    """

    sampled: NonNegative = 0
    published: NonNegative = 0
    dropped: NonNegative = 0
    failed: NonNegative = 0
    in_flight: NonNegative = 0
    reasons: dict[str, int] = {}

    @property
    def balances(self) -> bool:
        return self.sampled == self.published + self.dropped + self.failed + self.in_flight


class Pose(Struct, frozen=True):
    """The turn of a head, in degrees. docs/pose.md has its errors.

    `yaw` is positive if the face points to the right edge of the picture, `pitch` if it points up, `roll` if the head
    is tilted clockwise.
    """

    yaw: Degrees
    pitch: Degrees
    roll: Degrees

    @property
    def turned_away(self) -> bool:
        """Whether the head is turned away to a side. Pitch does not count, because it is only roughly known."""
        return abs(self.yaw) > TURNED_AWAY_DEG


class EmotionEvent(Struct, frozen=True, tag_field="type", tag="emotion", gc=False):
    """One participant in one frame.

    `models` has the most likely emotion according to each model that was asked about the face. If the face cannot be
    read, `readable` is false, `reason` is one of UNREADABLE, `models` is empty, and emotion, scores, smoothed, valence
    and arousal are None. Events of lectures from before this field are all readable. `pose` is there for every face,
    except in lectures from before that field.
    """

    lecture: str
    participant: str
    frame: NonNegative
    t: Seconds
    box: PixelBox
    detection: Probability
    emotion: str | None
    scores: Scores | None
    smoothed: Scores | None
    valence: float | None
    arousal: float | None
    models: dict[str, str]
    model_version: str
    readable: bool = True
    reason: str | UnsetType = UNSET
    pose: Pose | UnsetType = UNSET
    v: Literal[1] = 1


class ClassEvent(Struct, frozen=True, tag_field="type", tag="class", gc=False):
    """The class in one frame. Scores, valence and arousal are means over the readable faces, None if there are none.

    `faces` counts all faces, `unreadable` those that cannot be read, `turned_away` those that do not face the screen
    (`Pose`; not there in lectures from before this field). `damaged` is there, and true, if a picture of the frame is
    not as it was recorded. `hidden` is there, and true, if faces could be read and their scores stay hidden, because a
    small group would show what single people displayed. Then scores, valence and arousal are None. With fewer faces
    than the smallest group, `turned_away` is not there either.
    """

    lecture: str
    frame: NonNegative
    t: Seconds
    faces: NonNegative
    scores: Scores | None
    valence: float | None
    arousal: float | None
    model_version: str
    unreadable: NonNegative = 0
    turned_away: NonNegative | UnsetType = UNSET
    damaged: bool | UnsetType = UNSET
    hidden: bool | UnsetType = UNSET
    v: Literal[1] = 1


class SlideEvent(Struct, frozen=True, tag_field="type", tag="slide"):
    """Another slide is displayed from `frame` on, at `t` seconds; `slide` is its number, counted from 1.

    It is on the channel of the class. Some frames after the change are needed to see that it is one, so the event comes
    after the class events of later frames. The first slide's event comes when the second slide does.
    """

    lecture: str
    frame: NonNegative
    t: Seconds
    slide: Annotated[int, Meta(ge=1, le=2**53)]
    v: Literal[1] = 1


class EndEvent(Struct, frozen=True, tag_field="type", tag="end"):
    """The last event of every channel of a lecture.

    `usual` is the participant's own usual: the median of their scores over the lecture (`worker.contract.usual`). On
    the channel of the class it is the mean of everybody's usual. It is not there if no face could be read.
    """

    lecture: str
    status: FinalStatus
    reason: str | None
    ledger: Ledger
    usual: Scores | UnsetType = UNSET
    v: Literal[1] = 1


Event = EmotionEvent | ClassEvent | SlideEvent | EndEvent

# Events take part in no cycle, so the garbage collector need not visit tens of thousands of them (`gc=False`).
# Made once: `msgspec.json.decode(type=Event)` examines the type at every call, which takes three quarters of its time.
_EVENTS = msgspec.json.Decoder(Event)

T = TypeVar("T")


def encode(message: Struct) -> bytes:
    """The JSON form of a message."""
    return msgspec.json.encode(message)


def decode(data: bytes | str, kind: type[T]) -> T:
    """A value of this type from its JSON; ValueError if it is none, or is nested too deeply."""
    try:
        return msgspec.json.decode(data, type=kind)
    except RecursionError as deep:
        raise ValueError(str(deep)) from None


def decode_event(data: bytes | str) -> Event:
    """An event from its JSON; ValueError if it is not an event of version 1, or is nested too deeply."""
    try:
        return cast(Event, _EVENTS.decode(data))
    except RecursionError as deep:
        raise ValueError(str(deep)) from None
