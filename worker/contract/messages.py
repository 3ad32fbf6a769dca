"""What crosses Redis: frozen messages, each with one JSON form. Unknown fields are ignored, wrong types refused."""

from typing import Annotated, Literal, cast

import msgspec
from msgspec import Meta, Struct

from worker.contract.keys import ID_PATTERN
from worker.contract.lifetimes import RETENTION_S
from worker.contract.limits import MAX_CHUNK_BYTES, MAX_CHUNK_PICTURES, MAX_FRAME_PIXELS, MAX_RETENTION_S, LimitExceeded

VERSION = 1

EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""The seven labels, in the order that every list of scores has."""

Scores = dict[str, float]
"""Emotion -> probability, in the order of EMOTIONS, summing to one but for rounding."""

Status = Literal["running", "done", "failed", "stopped"]
FinalStatus = Literal["done", "failed", "stopped"]

NonNegative = Annotated[int, Meta(ge=0, le=2**53)]  # beyond which not every reader of JSON counts exactly
PixelCount = Annotated[int, Meta(ge=1, le=2**16)]
Id = Annotated[str, Meta(pattern=ID_PATTERN)]
Seconds = Annotated[float, Meta(ge=0, le=2**40)]
Probability = Annotated[float, Meta(ge=0, le=1)]
PixelBox = tuple[int, int, int, int]
"""x, y, width, height in pixels of the source frame."""


class LectureChoices(Struct, frozen=True):
    """What was chosen for a lecture at its beginning, the first value of `LectureKeys.state`.

    `participant` is the one person of the recording, if its user named one; `class_only` tells nothing per person.
    `retention` is for how many seconds results are kept after their last change.
    """

    participant: Id | None = None
    class_only: bool = False
    retention: Annotated[int, Meta(ge=1, le=MAX_RETENTION_S)] = RETENTION_S


class LectureProgress(LectureChoices, frozen=True):
    """How far a lecture is, the head of `LectureKeys.state` at any time.

    All chunks below `next_chunk` are committed. When nothing is in flight, that is the number that the next chunk to be
    fed must have, also after the lecture's end as stopped: whether by a chunk with an ending, which is counted like any
    other, or by workers whose producer was gone, without one.
    """

    next_chunk: NonNegative = 0


class FrameStamp(Struct, frozen=True, omit_defaults=True):
    """A sampled frame: its number, counted from 0 without gaps, and its media time in seconds.

    Where several recordings make up one lecture, each has its picture of the frame, one after the other in one chunk,
    with the same number and time; `participant` says whose recording it is and `size` how wide and high its frames are.
    """

    frame: NonNegative
    t: Seconds
    participant: Id | None = None
    size: tuple[PixelCount, PixelCount] | None = None


class Ending(Struct, frozen=True):
    """How a lecture ended, and why if it was not simply over."""

    status: FinalStatus
    reason: str | None = None


class ChunkHead(Struct, frozen=True):
    """What is known of a chunk beside its pixels.

    `width` and `height` are those of the source frame; the JPEGs may be smaller. `taken` is when its oldest frame was
    taken, by the producer's clock, in seconds since 1970. The chunk with an `ending` is the lecture's last and has no
    frames.
    """

    frames: Annotated[list[FrameStamp], Meta(max_length=MAX_CHUNK_PICTURES)]
    width: PixelCount
    height: PixelCount
    ending: Ending | None = None
    taken: float | None = None
    v: Literal[1] = 1

    @property
    def frame_count(self) -> int:
        """How many sampled frames these are; several pictures may be of one."""
        return len({stamp.frame for stamp in self.frames})


class Chunk(Struct, frozen=True):
    """A chunk of frames: `jpegs[i]` is the picture of `head.frames[i]`."""

    head: ChunkHead
    jpegs: list[bytes]

    def to_hash(self) -> dict[str, bytes]:
        """The fields of the Redis hash that holds the chunk: `head`, and a number for every picture."""
        pictures = {str(i): jpeg for i, jpeg in enumerate(self.jpegs)}
        return {"head": msgspec.json.encode(self.head), **pictures}

    @classmethod
    def from_hash(cls, fields: dict[bytes, bytes]) -> "Chunk":
        """The chunk out of its Redis hash; ValueError where the fields are not those of one, or it is too much."""
        try:
            head = msgspec.json.decode(fields[b"head"], type=ChunkHead)
            jpegs = [fields[str(i).encode()] for i in range(len(head.frames))]
        except KeyError as missing:
            raise ValueError(f"the chunk lacks its field {missing}") from None
        chunk = cls(head, jpegs)
        chunk.check()
        return chunk

    def check(self) -> None:
        """LimitExceeded where the chunk is larger than `limits` allow."""
        if self.head.width * self.head.height > MAX_FRAME_PIXELS:
            raise LimitExceeded(
                f"{self.head.width}x{self.head.height} pixels; no frame may have more than {MAX_FRAME_PIXELS}"
            )
        if self.size > MAX_CHUNK_BYTES:
            raise LimitExceeded(
                f"{self.size} bytes of pictures in one chunk; there may be no more than {MAX_CHUNK_BYTES}"
            )

    @property
    def size(self) -> int:
        """Bytes of all its pictures."""
        return sum(map(len, self.jpegs))


class InFlight(Struct, frozen=True):
    """What the ledger and the back-pressure need to know of a chunk that is on its way."""

    frames: NonNegative
    size: NonNegative


class ParticipantSpan(Struct, frozen=True):
    """When a participant was seen, in seconds of media time, and in how many frames."""

    first: float
    last: float
    frames: NonNegative


class Ledger(Struct, frozen=True):
    """Where every sampled frame went. `reasons` counts frames by `dropped:WHY` and `failed:WHY`."""

    sampled: NonNegative = 0
    published: NonNegative = 0
    dropped: NonNegative = 0
    failed: NonNegative = 0
    in_flight: NonNegative = 0
    reasons: dict[str, int] = {}

    @property
    def balances(self) -> bool:
        return self.sampled == self.published + self.dropped + self.failed + self.in_flight


class EmotionEvent(Struct, frozen=True, tag_field="type", tag="emotion"):
    """One participant in one frame."""

    lecture: str
    participant: str
    frame: NonNegative
    t: float
    box: PixelBox
    detection: Probability
    emotion: str
    scores: Scores
    smoothed: Scores
    valence: float
    arousal: float
    models: dict[str, str]
    model_version: str
    v: Literal[1] = 1


class ClassEvent(Struct, frozen=True, tag_field="type", tag="class"):
    """The class in one frame; scores, valence and arousal are means over its faces, null where there are none."""

    lecture: str
    frame: NonNegative
    t: float
    faces: NonNegative
    scores: Scores | None
    valence: float | None
    arousal: float | None
    model_version: str
    v: Literal[1] = 1


class EndEvent(Struct, frozen=True, tag_field="type", tag="end"):
    """The last event of every channel of a lecture."""

    lecture: str
    status: FinalStatus
    reason: str | None
    ledger: Ledger
    v: Literal[1] = 1


Event = EmotionEvent | ClassEvent | EndEvent


def encode(message: Struct) -> bytes:
    """The JSON form of a message."""
    return msgspec.json.encode(message)


def decode_event(data: bytes | str) -> Event:
    """An event out of its JSON; msgspec.ValidationError (a ValueError) where it is none of version 1."""
    return cast(Event, msgspec.json.decode(data, type=Event))
