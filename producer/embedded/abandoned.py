"""Lectures whose producer was killed: the private Redis ran on without it, and nobody is left to work on them."""

import time
from functools import partial
from typing import Any, cast

import redis
from redis.client import Pipeline

from worker.contract.keys import RUNNING, LectureKeys
from worker.contract.lecture_hash import ledger_from_hashes
from worker.contract.lifetimes import RESUME_S, RETENTION_S
from worker.contract.limits import MAX_STREAM_EVENTS
from worker.contract.messages import EndEvent, encode
from worker.contract.streams import EVENT_FIELD

REASON = "its producer is gone"

SCAN_STEP = 1000


def stop_abandoned(client: redis.Redis) -> None:
    """End every lecture that runs as stopped. Only for who is alone: nobody else may feed one, or work on it.

    What was in flight counts as never sampled: whoever resumes the lecture feeds it again, to workers of its own.
    """
    orphans = cast(set[bytes], client.smembers(RUNNING))
    if not orphans:
        return
    for key in client.scan_iter("rq:*", count=SCAN_STEP):  # the queue is that of the dead
        client.unlink(key)
    for lecture in orphans:
        keys = LectureKeys(lecture.decode())
        in_flight = cast(list[bytes], client.hkeys(keys.in_flight))
        client.transaction(partial(_end, keys), keys.info)
        for number in map(int, in_flight):
            client.unlink(keys.chunk(number), keys.outcome(number))
        client.srem(RUNNING, lecture)


def _end(keys: LectureKeys, pipe: Pipeline) -> None:
    info = cast(dict[bytes, bytes], pipe.hgetall(keys.info))
    seen: Any = pipe.hkeys(keys.participants)
    pipe.multi()
    if info.get(b"status") != b"running":
        return
    done = ledger_from_hashes(info, {})
    retention = int(info.get(b"retention", RETENTION_S))
    committed = done.published + done.dropped + done.failed
    ledger = ledger_from_hashes({**info, b"sampled": str(committed).encode()}, {})
    event = encode(EndEvent(keys.lecture, "stopped", REASON, ledger))
    for stream in (keys.class_, *(keys.participant(each.decode()) for each in seen)):
        pipe.xadd(stream, {EVENT_FIELD: event}, maxlen=MAX_STREAM_EVENTS)
        pipe.expire(stream, retention)
    pipe.hset(keys.info, mapping={"status": "stopped", "ended": time.time(), "reason": REASON, "sampled": committed})
    pipe.expire(keys.state, min(RESUME_S, retention))
    pipe.delete(keys.in_flight, keys.feeder)
