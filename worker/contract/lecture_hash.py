"""The lecture's hash (`LectureKeys.info`): its fields, as they are written and as they are read. Pure."""

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict, cast

import msgspec
from msgspec import Meta, Struct

from worker.contract.chapters import Chapters
from worker.contract.messages import InFlight, Ledger, NonNegative, PixelBox, PixelCount, Status, decode
from worker.contract.reasons import PREFIXES


class LectureFields(TypedDict, total=False):
    """The fields of the hash. Times are seconds since 1970, sizes pixels, `retention` seconds.
    `course` is there if the user named one. `min_group`, `begin`, `end` and `ignored` (JSON) are those of
    `LectureChoices`; without a value they are missing.

    `models` is the version of the models that read the first frame. `feed` is the token of the feed that may write to
    the lecture, `chunks` the number of chunks that were fed, `chapters` the JSON of its chapters (`contract.chapters`),
    missing if there are none. `live` is 1 for a live source; `expected` is the number of frames of a recording that
    declares its length. `archived` is what `ended` was when all events were in the archive; a lecture that is resumed
    ends again later.
    """

    source: str
    status: Status
    fps: float
    width: int
    height: int
    started: float
    ended: float
    reason: str
    retention: int
    class_only: int
    course: str
    live: int
    expected: int
    models: str
    feed: bytes
    chunks: int
    sampled: int
    published: int
    dropped: int
    failed: int
    chapters: bytes
    min_group: int
    begin: float
    end: float
    ignored: bytes
    archived: float


def as_hash(fields: LectureFields) -> Mapping[Any, Any]:
    """`fields` as the mapping that redis-py's `hset` takes."""
    return cast(Mapping[Any, Any], fields)


Time = Annotated[float, Meta(ge=0, le=2**37)]
"""Seconds since 1970, up to the year 6325, because Python has no dates after 9999."""


class LectureInfo(Struct, frozen=True):
    """The hash, read. `started` and `ended` are seconds since 1970; sizes in pixels."""

    source: str
    status: Status
    fps: Annotated[float, Meta(gt=0)]
    width: PixelCount
    height: PixelCount
    started: Time
    ended: Time | None = None
    reason: str | None = None
    retention: int = 0
    class_only: bool = False
    course: str | None = None
    live: bool = False
    expected: NonNegative | None = None
    sampled: NonNegative = 0
    published: NonNegative = 0
    dropped: NonNegative = 0
    failed: NonNegative = 0
    chapters: Chapters = []
    min_group: int = 1
    begin: float | None = None
    end: float | None = None
    ignored: tuple[PixelBox, ...] = ()
    archived: float | None = None

    @classmethod
    def from_hash(cls, fields: dict[bytes, bytes]) -> "LectureInfo":
        """The lecture from its Redis hash; ValueError if the fields are not those of a lecture."""
        values: dict[str, Any] = {k.decode(): v.decode() for k, v in fields.items()}
        for name in {"chapters", "ignored"} & values.keys():
            values[name] = decode(fields[name.encode()], list[Any])
        return msgspec.convert(values, cls, strict=False)


def ledger_from_hashes(info: dict[bytes, bytes], in_flight: dict[bytes, bytes]) -> Ledger:
    """The ledger from the hashes `LectureKeys.info` and `LectureKeys.in_flight`, read in one transaction."""
    fields = {k.decode(): v for k, v in info.items()}
    return Ledger(
        **{name: int(fields.get(name, 0)) for name in ("sampled", "published", "dropped", "failed")},
        in_flight=sum(decode(value, InFlight).frames for value in in_flight.values()),
        reasons={name: int(value) for name, value in fields.items() if name.startswith(PREFIXES)},
    )
