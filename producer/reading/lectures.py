"""The lectures in Redis and in the archive: list them, read one, list its participants, forget one."""

from contextlib import suppress
from itertools import chain
from typing import Any, cast

import msgspec
import redis

from producer.archive.lecture import ArchiveDamaged, ArchivedLecture
from producer.archive.place import ArchiveUnusable
from producer.cells.connections import CellDown, Cells
from producer.reading.analysis.losses import Kept, Loss
from producer.reading.merging import LectureUnreadable
from worker.contract.jobs import chunk_of_job_id
from worker.contract.keys import (
    LECTURES,
    NO_SUCH_KEY,
    RUNNING,
    SCAN_STEP,
    LectureKeys,
    checked_id,
    lecture_of_info_key,
)
from worker.contract.lecture_hash import LectureInfo, ledger_from_hashes
from worker.contract.messages import Ledger, ParticipantSpan, decode
from worker.contract.queue import QUEUE_KEY, REGISTRIES, discard_job

Store = redis.Redis | ArchivedLecture
"""Where a lecture is read from (`producer.reading.choosing`)."""

Missing = CellDown | ArchiveUnusable | ArchiveDamaged
"""Why some lectures are missing in a list."""


class LectureUnknown(Exception):
    """There is no such lecture."""

    def __init__(self, lecture: str) -> None:
        super().__init__(f"there is no lecture {lecture!r}; `producer list` shows those that are kept")


class LectureForgotten(Exception):
    """A lecture was forgotten while it was being read."""

    def __init__(self, lecture: str) -> None:
        super().__init__(f"lecture {lecture!r} was forgotten, or its retention time ran out, while it was being read")


class LectureFed(Exception):
    """A lecture that cannot be forgotten because a producer still feeds it."""

    def __init__(self, lecture: str, seconds: int) -> None:
        super().__init__(
            f"lecture {lecture!r} is being fed; stop its producer first (if it was killed, try again in {seconds} s)"
        )


class Lecture(msgspec.Struct, frozen=True):
    """A lecture at one moment: its hash, its ledger, its number of participants, and whether a producer feeds it."""

    id: str
    info: LectureInfo
    ledger: Ledger
    participants: int
    fed: bool
    chunks_in_flight: int

    @property
    def abandoned(self) -> bool:
        """Whether its status is running, although no producer feeds it and no chunk is in flight."""
        return self.info.status == "running" and not self.fed and self.chunks_in_flight == 0


def list_lectures(client: redis.Redis) -> list[Lecture]:
    """All lectures of one Redis, the oldest first."""
    keys = set(client.scan_iter(LECTURES, count=SCAN_STEP, _type="HASH"))
    lectures = []
    for name in filter(None, (lecture_of_info_key(key.decode(errors="replace")) for key in keys)):
        with suppress(LectureUnknown, ValueError):  # forgotten since the scan, or a stranger's hash
            lectures.append(read_lecture(client, name))
    return sorted(lectures, key=_age)


def all_lectures(cells: Cells) -> tuple[list[Lecture], list[Missing]]:
    """The lectures of all cells that answer and of the archive, the oldest first, and why others are missing.

    A lecture that is in both is that of its cell. An id that is used in two cells is there twice. Raises CellDown if no
    cell answers.
    """
    found, down = cells.each(list_lectures)
    lectures = list(chain(*found))
    missing: list[Missing] = [*down]
    if cells.archive is not None:
        try:
            archived, damaged = cells.archive.lectures()
            known = {each.id for each in lectures}
            lectures += [read_lecture(each, each.id) for each in archived if each.id not in known]
            missing += damaged
        except ArchiveUnusable as failure:
            missing.append(failure)
    return sorted(lectures, key=_age), missing


def read_lecture(store: Store, name: str) -> Lecture:
    """The lecture `name`; LectureUnknown if there is none, LectureUnreadable if its hash is not that of a lecture."""
    if isinstance(store, ArchivedLecture):
        return Lecture(name, store.info, store.ledger, len(store.participants), fed=False, chunks_in_flight=0)
    client = store
    try:
        info, in_flight, participants, fed = _read(client, LectureKeys(name), transaction=True)
    except redis.OutOfMemoryError:  # a full Redis refuses transactions, even to read
        info, in_flight, participants, fed = _read(client, LectureKeys(name), transaction=False)
    if not info:
        raise LectureUnknown(name)
    try:
        known, ledger = LectureInfo.from_hash(info), ledger_from_hashes(info, in_flight)
    except ValueError as wrong:
        raise LectureUnreadable(name, f"its hash is not that of a lecture ({wrong})") from None
    return Lecture(
        id=name,
        info=known,
        ledger=ledger,
        participants=participants,
        fed=bool(fed),
        chunks_in_flight=len(in_flight),
    )


def participants(store: Store, name: str) -> dict[str, ParticipantSpan]:
    """Participant id -> first and last time and frames, sorted by id; LectureUnknown, LectureUnreadable."""
    if isinstance(store, ArchivedLecture):
        return dict(sorted(store.participants.items()))
    keys = LectureKeys(name)
    spans = cast(dict[bytes, bytes], store.hgetall(keys.participants))
    if not spans and not store.exists(keys.info):
        raise LectureUnknown(name)
    try:
        return {
            checked_id(key.decode(), "participant id"): decode(spans[key], ParticipantSpan) for key in sorted(spans)
        }
    except ValueError as wrong:
        raise LectureUnreadable(name, f"{keys.participants} holds something else than participants ({wrong})") from None


def losses_at_end(store: Store, name: str, kept: Kept) -> list[Loss]:
    """What Redis lacks of the events of a lecture that was read up to its end; nothing if it was forgotten since."""
    try:
        return kept.losses(name, read_lecture(store, name).info, participants(store, name))
    except LectureUnknown:
        return []


def forget(client: redis.Redis, name: str) -> None:
    """Erase every key of the lecture `name`, and its jobs, failed ones included.

    Raises LectureFed while a producer feeds it, and LectureUnknown if it has no key. If `forget` is interrupted, a
    second call finishes the work.
    """
    keys = LectureKeys(name)
    seconds = client.ttl(keys.feeder)
    if seconds != NO_SUCH_KEY:
        raise LectureFed(name, max(seconds, 1))
    # Hash and state are deleted first. A commit watches the state, so no worker writes anything afterwards.
    erased = client.unlink(keys.info, keys.state)
    client.srem(RUNNING, name)
    for job in _jobs(client, name):
        discard_job(client, job)
    while rest := list(client.scan_iter(keys.everything, count=SCAN_STEP)):
        erased += client.unlink(*rest)
    if not erased:
        raise LectureUnknown(name)


def _age(lecture: Lecture) -> tuple[float, str]:
    return lecture.info.started, lecture.id


def _read(client: redis.Redis, keys: LectureKeys, transaction: bool) -> list[Any]:
    with client.pipeline(transaction=transaction) as pipe:
        pipe.hgetall(keys.info)
        pipe.hgetall(keys.in_flight)
        pipe.hlen(keys.participants)
        pipe.exists(keys.feeder)
        return pipe.execute()


def _jobs(client: redis.Redis, name: str) -> set[bytes]:
    """The ids of all jobs of a lecture, from every list of the queue and from all keys that carry such an id."""
    found = {part for key in client.scan_iter(f"*:{name}-*", count=SCAN_STEP) for part in key.split(b":")}
    for waiting in (QUEUE_KEY, f"{QUEUE_KEY}:intermediate"):
        found |= set(cast(list[bytes], client.lrange(waiting, 0, -1)))
    for registry in REGISTRIES:
        found |= {member.split(b":")[0] for member, _ in client.zscan_iter(registry, f"{name}-*", count=SCAN_STEP)}
    return {job for job in found if (chunk := chunk_of_job_id(job)) and chunk[0] == name}
