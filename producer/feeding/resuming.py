"""What there is of a lecture whose feeding was interrupted: all that it takes to go on with it."""

from typing import Any, cast

import redis
from msgspec import Struct, ValidationError, json

from worker.contract.keys import LectureKeys
from worker.contract.lecture_hash import LectureInfo
from worker.contract.messages import EndEvent, InFlight, LectureProgress, decode_event
from worker.contract.streams import EVENT_FIELD


class LectureNotResumable(Exception):
    """A lecture that cannot be gone on with; the message says why."""


class Interrupted(Struct, frozen=True):
    """A lecture that nobody feeds any more and that is not over.

    `source` and what follows it is what it was begun with. `frames` were fed, which is the number of the first one that
    was not; `next_chunk` is the number that the next chunk must have.
    """

    source: str
    fps: float
    width: int
    height: int
    participant: str | None
    frames: int
    next_chunk: int
    retention_s: int

    def check(self, lecture: str, source: str, fps: float, width: int, height: int, participant: str | None) -> None:
        """Raise LectureNotResumable unless the lecture is gone on with as it was begun."""
        pairs = (
            ("source", self.source, source),
            ("fps", f"{self.fps:g}", f"{fps:g}"),
            ("size in pixels", f"{self.width}x{self.height}", f"{width}x{height}"),
            ("participant", self.participant or "not named", participant or "not named"),
        )
        for what, then, now in pairs:
            if then != now:
                raise LectureNotResumable(f"lecture {lecture} was begun with another {what}: {then}, not {now}")


def read_interrupted(client: redis.Redis, lecture: str) -> Interrupted:
    """What there is of `lecture`. Raises LectureNotResumable where it cannot be gone on with, or not yet."""
    keys = LectureKeys(lecture)
    fields = cast(dict[bytes, bytes], client.hgetall(keys.info))
    if not fields:
        raise LectureNotResumable(f"there is no lecture {lecture!r}; leave out --resume to begin it")
    info = LectureInfo.from_hash(fields)
    if info.status not in ("running", "stopped"):
        raise LectureNotResumable(f"lecture {lecture} is {info.status}; only one that was stopped can be resumed")
    seconds = client.ttl(keys.feeder)
    if seconds != _NO_SUCH_KEY:
        raise LectureNotResumable(
            f"lecture {lecture} is being fed; stop its producer first (if it was killed, try again in "
            f"{max(seconds, 1)} s)"
        )
    if info.dropped:
        raise LectureNotResumable(f"lecture {lecture} is that of a live source, which cannot be resumed")
    stored = cast(bytes | None, client.get(keys.state))
    if stored is None:
        raise LectureNotResumable(
            f"what it takes to go on with lecture {lecture} is gone: it is kept for a day; `producer forget {lecture}` "
            "and ingest it from the start"
        )
    progress = json.decode(stored, type=LectureProgress)
    in_flight = cast(dict[bytes, bytes], client.hgetall(keys.in_flight))
    if any(json.decode(chunk, type=InFlight).frames == 0 for chunk in in_flight.values()):
        raise LectureNotResumable(f"lecture {lecture} ends as soon as workers have done what is in flight; wait for it")
    return Interrupted(
        source=info.source,
        fps=info.fps,
        width=info.width,
        height=info.height,
        participant=progress.participant,
        frames=info.sampled,
        next_chunk=max([progress.next_chunk, *(int(number) + 1 for number in in_flight)]),
        retention_s=progress.retention,
    )


def ends_of(client: redis.Redis, keys: LectureKeys) -> list[tuple[str, bytes]]:
    """Where the lecture's end was told: streams, and the position of the EndEvent in each."""
    seen: Any = client.hkeys(keys.participants)
    found = []
    for stream in (keys.class_, *(keys.participant(each.decode()) for each in seen)):
        entries: Any = client.xrevrange(stream, count=1)
        found += [(stream, position) for position, fields in entries if _is_end(fields)]
    return found


_NO_SUCH_KEY = -2  # what TTL answers


def _is_end(fields: dict[bytes, bytes]) -> bool:
    try:
        return isinstance(decode_event(fields[EVENT_FIELD.encode()]), EndEvent)
    except (KeyError, ValidationError):
        return False
