"""A worker that observes the same face in every frame: the real commit without the networks."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

from worker.commit import commit
from worker.contract.connection import connect
from worker.contract.jobs import QUEUE
from worker.contract.keys import LectureKeys, lecture_of_info_key
from worker.contract.messages import Chunk, encode
from worker.outcome import DESCRIPTOR_BYTES, FaceObservation, FrameObservation, Outcome

REGISTERED = "rq:worker:committing"

FACE = FaceObservation(
    (40.0, 30.0, 60.0, 60.0), 0.9, (0.0, 0.0, 0.0, 0.75, 0.0, 0.0, 0.25), {"m": "happiness"}, bytes(DESCRIPTOR_BYTES)
)


@contextmanager
def committing(url: str, fail: bool = False, empty: bool = False) -> Iterator[None]:
    """Commit all that is pushed to the Redis at `url`, with `fail` as failed chunks, if `empty` without faces.

    It registers as RQ's workers do.
    """
    stop = threading.Event()
    worker = threading.Thread(target=_work, args=(url, fail, empty, stop))
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join()


def _work(url: str, fail: bool, empty: bool, stop: threading.Event) -> None:
    with connect(url) as client:
        register(client)
        while not stop.wait(0.01):
            for key in client.scan_iter("lecture:{*}"):
                lecture = lecture_of_info_key(key.decode())
                if lecture is not None:
                    work_on(client, LectureKeys(lecture), fail, empty)
        client.srem(WORKERS_BY_QUEUE_KEY % QUEUE, REGISTERED)
        client.delete(REGISTERED)


def register(client: redis.Redis) -> None:
    """Register as RQ's workers do. Otherwise a producer on a slow machine says that no worker takes frames."""
    client.hset(REGISTERED, "state", "idle")
    client.sadd(WORKERS_BY_QUEUE_KEY % QUEUE, REGISTERED)


def work_on(client: redis.Redis, keys: LectureKeys, fail: bool = False, empty: bool = False) -> None:
    """Commit the chunks in flight of a lecture."""
    for number in map(int, client.hkeys(keys.in_flight)):
        fields: Any = client.hgetall(keys.chunk(number))
        if fields:
            head = Chunk.from_hash(fields).head
            frames = [FrameObservation(stamp, [] if empty else [FACE]) for stamp in head.frames]
            failed = fail and head.ending is None
            outcome = Outcome(failure="error") if failed else Outcome(frames, ending=head.ending, model_version="m1")
            client.set(keys.outcome(number), encode(outcome))
    commit(client, keys.lecture)
