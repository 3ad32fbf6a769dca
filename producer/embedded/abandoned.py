"""End lectures whose producer and workers were killed while the private Redis kept running."""

import time
from functools import partial
from typing import cast

import redis
from msgspec import structs
from redis.client import Pipeline

from worker.contract.keys import RUNNING, SCAN_STEP, LectureKeys
from worker.contract.lecture_hash import LectureFields, as_hash, ledger_from_hashes
from worker.contract.lifetimes import RETENTION_S
from worker.contract.messages import EndEvent
from worker.contract.queue import RQ_KEYS
from worker.contract.streams import ABANDONED, end_lecture


def stop_abandoned(client: redis.Redis) -> None:
    """End all running lectures as stopped. Nobody else may feed or work at the same time.

    Frames in flight count as not sampled. If the lecture is resumed, they are fed again.
    """
    lectures = cast(set[bytes], client.smembers(RUNNING))
    if not lectures:
        return
    for key in client.scan_iter(RQ_KEYS, count=SCAN_STEP):  # the queue of dead workers
        client.unlink(key)
    for lecture in lectures:
        keys = LectureKeys(lecture.decode())
        in_flight = cast(list[bytes], client.hkeys(keys.in_flight))
        client.transaction(partial(_end, keys), keys.info)
        for number in map(int, in_flight):
            client.unlink(keys.chunk(number), keys.outcome(number))
        client.srem(RUNNING, lecture)


def _end(keys: LectureKeys, pipe: Pipeline) -> None:
    info = cast(dict[bytes, bytes], pipe.hgetall(keys.info))
    participants = cast(list[bytes], pipe.hkeys(keys.participants))
    pipe.multi()
    if info.get(b"status") != b"running":
        return
    done = ledger_from_hashes(info, {})
    ledger = structs.replace(done, sampled=done.published + done.dropped + done.failed)
    fields: LectureFields = {"sampled": ledger.sampled}
    retention = int(info.get(b"retention", RETENTION_S))
    end = EndEvent(keys.lecture, "stopped", ABANDONED, ledger)
    end_lecture(pipe, keys, end, [each.decode() for each in participants], time.time(), retention, resumable=True)
    pipe.hset(keys.info, mapping=as_hash(fields))
    pipe.delete(keys.feeder)
