"""A lecture whose feeding was interrupted: what is needed to resume it, and the transaction that takes it over."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

import redis
from msgspec import Struct
from redis.client import Pipeline

from producer.feeding.starting import NewLecture
from worker.contract.keys import NO_SUCH_KEY, LectureKeys
from worker.contract.lecture_hash import LectureFields, LectureInfo, as_hash
from worker.contract.lifetimes import FEEDER_TTL_S
from worker.contract.messages import EndEvent, InFlight, LectureChoices, LectureProgress, PixelBox, Status, decode
from worker.contract.streams import entry_event


class LectureNotResumable(Exception):
    """A lecture that cannot be resumed; the message says why."""


class Interrupted(Struct, frozen=True):
    """What Redis has of a lecture whose feed was interrupted.

    It was started with `source`, `fps`, the size in pixels, and `choices`. Its first `frames` frames are committed, or
    in flight with their pixels. Feeding continues with the frame of that number, in chunk `next_chunk`. Chunks in
    flight with this number or a higher one are `useless`, because pixels are missing; their frames are fed again.
    `token` is the token of the last feed; `status` and `course` are the lecture's.
    """

    source: str
    fps: float
    width: int
    height: int
    choices: LectureChoices
    frames: int
    next_chunk: int
    useless: tuple[int, ...] = ()
    token: bytes | None = None
    status: Status = "stopped"
    course: str | None = None

    def check(self, asked: NewLecture) -> None:
        """Raise LectureNotResumable unless `asked` is what the lecture was started with."""
        pairs = (
            ("source", self.source, asked.source),
            ("fps", f"{self.fps:g}", f"{asked.fps:g}"),
            ("size in pixels", f"{self.width}x{self.height}", f"{asked.width}x{asked.height}"),
            ("participant", self.choices.participant or "not named", asked.choices.participant or "not named"),
            ("--from", _shown(self.choices.begin), _shown(asked.choices.begin)),
            ("--to", _shown(self.choices.end), _shown(asked.choices.end)),
            ("--ignore", _regions(self.choices.ignored), _regions(asked.choices.ignored)),
            ("--min-group", str(self.choices.min_group), str(asked.choices.min_group)),
            ("course", self.course or "not named", asked.course or self.course or "not named"),
        )
        for name, then, now in pairs:
            if then != now:
                raise LectureNotResumable(
                    f"lecture {asked.lecture} cannot be resumed: {name} was {then} at its start and is {now} now"
                )


def _shown(seconds: float | None) -> str:
    return "not given" if seconds is None else f"{seconds:g} s"


def _regions(ignored: Sequence[PixelBox]) -> str:
    return " and ".join(",".join(map(str, box)) for box in ignored) or "nothing"


def read_interrupted(client: redis.Redis, lecture: str) -> Interrupted:
    """Read what is needed to resume `lecture`. Raises LectureNotResumable if it cannot be resumed, or not yet."""
    keys = LectureKeys(lecture)
    fields = cast(dict[bytes, bytes], client.hgetall(keys.info))
    if not fields:
        raise LectureNotResumable(f"there is no lecture {lecture!r}; leave out --resume to start it")
    info = LectureInfo.from_hash(fields)
    if info.status == "done":
        raise LectureNotResumable(f"lecture {lecture} is done; only a stopped or failed lecture can be resumed")
    seconds = client.ttl(keys.feeder)
    if seconds != NO_SUCH_KEY:
        raise LectureNotResumable(
            f"lecture {lecture} is being fed; stop its producer first (if it was killed, try again in "
            f"{max(seconds, 1)} s)"
        )
    if info.live or info.dropped:
        raise LectureNotResumable(f"lecture {lecture} has a live source and cannot be resumed")
    if any(chunk.frames == 0 for chunk in _in_flight(client, keys).values()):
        raise LectureNotResumable(
            f"lecture {lecture} ends as soon as workers have processed its last chunks; wait for it"
        )
    return read_stored(client, lecture, fields)


def read_stored(client: redis.Redis, lecture: str, fields: dict[bytes, bytes]) -> Interrupted:
    """Read up to where Redis has the lecture, whose hash has these `fields`. Raises LectureNotResumable.

    An ending in flight counts as missing.
    """
    keys, info = LectureKeys(lecture), LectureInfo.from_hash(fields)
    stored = cast(bytes | None, client.get(keys.state))
    if stored is None and info.status == "failed":  # workers delete the state if everything was fed
        raise LectureNotResumable(
            f"lecture {lecture} failed ({info.reason}) and nothing of it is left to resume: all of it was fed, or it "
            f"ended more than a day ago; run `producer forget {lecture}` to ingest it again"
        )
    if stored is None:
        raise LectureNotResumable(
            f"the state of lecture {lecture} is gone, it is kept for a day; run `producer forget {lecture}` and ingest "
            "the recording from the start"
        )
    progress = decode(stored, LectureProgress)
    in_flight = _in_flight(client, keys)
    following = progress.next_chunk
    while following in in_flight and in_flight[following].frames and _is_there(client, keys, following):
        following += 1
    useless = [number for number in in_flight if number >= following]
    return Interrupted(
        source=info.source,
        fps=info.fps,
        width=info.width,
        height=info.height,
        choices=LectureChoices(**{each: getattr(progress, each) for each in LectureChoices.__struct_fields__}),
        frames=info.published + info.failed + sum(in_flight[n].frames for n in range(progress.next_chunk, following)),
        next_chunk=following,
        useless=tuple(sorted(useless)),
        token=fields.get(b"feed"),
        status=info.status,
        course=info.course,
    )


def take_over(pipe: Pipeline, lecture: str, interrupted: Interrupted, token: bytes) -> None:
    """Queue the writes that resume the lecture; `pipe` watches its hash, state and heartbeat.

    `token` is that of its new feed. Does nothing if Redis has done them already and only the answer was lost. Raises
    LectureNotResumable if the lecture has changed since `interrupted` was read.
    """
    if pipe.hget(LectureKeys(lecture).info, "feed") == token:
        return
    if read_interrupted(pipe, lecture) != interrupted:
        raise LectureNotResumable(f"lecture {lecture} has just changed; try again")
    continue_from(pipe, lecture, interrupted, {"feed": token, "sampled": interrupted.frames})


def continue_from(pipe: Pipeline, lecture: str, stored: Interrupted, fields: LectureFields) -> None:
    """Queue the writes after which a feed continues the lecture from what Redis has `stored`.

    `fields` are written to its hash. `pipe` watches its hash, its state and what is in flight.
    """
    keys = LectureKeys(lecture)
    ends = _ends_of(pipe, keys)
    pipe.multi()
    pipe.hset(keys.info, mapping=as_hash({**fields, "status": "running", "chunks": stored.next_chunk}))
    pipe.hdel(keys.info, "ended", "reason")
    for stream, position in ends:
        pipe.xdel(stream, position)
    for number in stored.useless:
        pipe.hdel(keys.in_flight, str(number))
        pipe.delete(keys.chunk(number), keys.outcome(number))
    for key in (keys.info, keys.state):
        pipe.expire(key, stored.choices.retention)
    pipe.set(keys.feeder, 1, ex=FEEDER_TTL_S)


def _in_flight(client: redis.Redis, keys: LectureKeys) -> dict[int, InFlight]:
    stored = cast(dict[bytes, bytes], client.hgetall(keys.in_flight))
    return {int(number): decode(chunk, InFlight) for number, chunk in stored.items()}


def _is_there(client: redis.Redis, keys: LectureKeys, number: int) -> bool:
    """Whether Redis has the pixels of a chunk, or already its outcome."""
    return bool(client.exists(keys.chunk(number), keys.outcome(number)))


def _ends_of(client: redis.Redis, keys: LectureKeys) -> list[tuple[str, bytes]]:
    """The lecture's end events: stream, and position of the event in it."""
    participants: Any = client.hkeys(keys.participants)
    found = []
    for participant in (None, *participants):
        with suppress(ValueError):  # a stranger's participant, or no event and so no end
            stream = keys.class_ if participant is None else keys.participant(participant.decode())
            entries: Any = client.xrevrange(stream, count=1)
            found += [(stream, position) for position, fields in entries if isinstance(entry_event(fields), EndEvent)]
    return found
