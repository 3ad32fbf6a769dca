"""The lectures that are kept in Redis: which there are, who was seen in them, and how to be rid of one."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import msgspec
import redis
from redis.client import Pipeline

from worker.contract.jobs import chunk_of_job_id
from worker.contract.keys import LECTURES, RUNNING, LectureKeys, lecture_of_info_key
from worker.contract.lecture_hash import LectureInfo, ledger_from_hashes
from worker.contract.messages import Ledger, ParticipantSpan
from worker.contract.queue import QUEUE_KEY, REGISTRIES, discard_job

if TYPE_CHECKING:
    from rich.table import Table

# Keys that SCAN looks at in one step: few round trips, and no step that keeps the server from others for long.
SCAN_STEP = 1000


class LectureUnknown(Exception):
    """There is no such lecture."""

    def __init__(self, lecture: str) -> None:
        super().__init__(f"there is no lecture {lecture!r}; `producer list` shows those that are kept")


class LectureForgotten(Exception):
    """A lecture went while it was being read."""

    def __init__(self, lecture: str) -> None:
        super().__init__(f"lecture {lecture!r} was forgotten, or its retention time ran out, while it was being read")


class LectureFed(Exception):
    """A lecture that cannot be forgotten because a producer still feeds it."""

    def __init__(self, lecture: str, seconds: int) -> None:
        super().__init__(
            f"lecture {lecture!r} is being fed; stop its producer first (if it was killed, try again in {seconds} s)"
        )


class Lecture(msgspec.Struct, frozen=True):
    """A lecture as it stands: its hash, its ledger, how many participants it has, whether a producer feeds it."""

    id: str
    info: LectureInfo
    ledger: Ledger
    participants: int
    fed: bool
    chunks_in_flight: int

    @property
    def abandoned(self) -> bool:
        """Whether it calls itself running although nobody feeds it and nothing of it is on its way."""
        return self.info.status == "running" and not self.fed and self.chunks_in_flight == 0


def list_lectures(client: redis.Redis) -> list[Lecture]:
    """All lectures, the oldest first."""
    found = {lecture_of_info_key(key.decode()) for key in client.scan_iter(LECTURES, count=SCAN_STEP, _type="HASH")}
    lectures = []
    for name in filter(None, found):
        try:
            lectures.append(read_lecture(client, name))
        except (LectureUnknown, ValueError):
            continue  # forgotten since the scan, or a hash of somebody else's that only looks like a lecture
    return sorted(lectures, key=lambda each: (each.info.started, each.id))


def read_lecture(client: redis.Redis, name: str) -> Lecture:
    """The lecture `name` as it stands; LectureUnknown where there is none."""
    keys = LectureKeys(name)

    def ask(together: Pipeline) -> None:
        together.hgetall(keys.info)
        together.hgetall(keys.in_flight)
        together.hlen(keys.participants)
        together.exists(keys.feeder)

    info, in_flight, participants, fed = _answers(client, ask)
    if not info:
        raise LectureUnknown(name)
    return Lecture(
        id=name,
        info=LectureInfo.from_hash(info),
        ledger=ledger_from_hashes(info, in_flight),
        participants=participants,
        fed=bool(fed),
        chunks_in_flight=len(in_flight),
    )


def lectures_table(lectures: list[Lecture]) -> "Table":
    """A row a lecture."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    longest = max((len(each.id) for each in lectures), default=0)
    table.add_column("lecture", no_wrap=True, min_width=longest)  # whole on any terminal: it is what to ask for
    for heading in ("status", "started", "participants", "frames"):
        table.add_column(heading, no_wrap=True)
    table.add_column("source", overflow="fold")  # what is broken into lines first, where there is no room
    for each in lectures:
        started = datetime.fromtimestamp(each.info.started).strftime("%Y-%m-%d %H:%M")
        status = "abandoned" if each.abandoned else each.info.status
        frames = f"{each.ledger.published}/{each.ledger.sampled}"
        table.add_row(each.id, status, started, str(each.participants), frames, each.info.source)
    return table


def participants(client: redis.Redis, name: str) -> dict[str, ParticipantSpan]:
    """Participant id -> when and how often they were seen, by id; LectureUnknown where there is no such lecture."""
    keys = LectureKeys(name)

    def ask(together: Pipeline) -> None:
        together.exists(keys.info)
        together.hgetall(keys.participants)

    exists, spans = _answers(client, ask)
    if not exists:
        raise LectureUnknown(name)
    return {key.decode(): msgspec.json.decode(spans[key], type=ParticipantSpan) for key in sorted(spans)}


def forget(client: redis.Redis, name: str) -> None:
    """Erase every key of the lecture `name` and whatever the queue holds of it, failed jobs with their traces included.

    Raises LectureFed while a producer feeds it and LectureUnknown where nothing of it is there. Called again after it
    was cut short, it finishes the work.
    """
    keys = LectureKeys(name)
    seconds = client.ttl(keys.feeder)
    if seconds != _NO_SUCH_KEY:
        raise LectureFed(name, max(seconds, 1))
    # First what a commit cannot do without, so that a worker that is at it this moment writes nothing afterwards.
    erased = client.unlink(keys.info, keys.state)
    client.srem(RUNNING, name)
    for job in _jobs(client, name):
        discard_job(client, job)
    while rest := list(client.scan_iter(keys.everything, count=SCAN_STEP)):
        erased += client.unlink(*rest)
    if not erased:
        raise LectureUnknown(name)


def _answers(client: redis.Redis, ask: Callable[[Pipeline], None]) -> list[Any]:
    """The answers as of one moment; one after the other where Redis is full, and refuses transactions even to read."""
    with client.pipeline(transaction=True) as together:
        ask(together)
        try:
            return together.execute()
        except redis.OutOfMemoryError:
            pass
    with client.pipeline(transaction=False) as one_by_one:
        ask(one_by_one)
        return one_by_one.execute()


_NO_SUCH_KEY = -2  # what TTL answers


def _jobs(client: redis.Redis, name: str) -> set[bytes]:
    """The ids of all jobs for chunks of a lecture, wherever the queue has noted them."""
    found = {part for key in client.scan_iter(f"*:{name}-*", count=SCAN_STEP) for part in key.split(b":")}
    for waiting in (QUEUE_KEY, f"{QUEUE_KEY}:intermediate"):
        found |= set(cast(list[bytes], client.lrange(waiting, 0, -1)))
    for registry in REGISTRIES:
        found |= {member.split(b":")[0] for member, _ in client.zscan_iter(registry, f"{name}-*", count=SCAN_STEP)}
    return {job for job in found if (chunk := chunk_of_job_id(job)) and chunk[0] == name}
