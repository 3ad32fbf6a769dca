"""Feeding a lecture as a producer does, so that workers can be tested without one."""

import time
from collections.abc import Sequence
from typing import cast

import cv2
import redis

from tests.gallery import Picture
from tests.processes import eventually
from worker.contract.keys import LectureKeys
from worker.contract.lecture_hash import ledger_from_hashes
from worker.contract.messages import Chunk, ChunkHead, Ending, Event, FrameStamp, InFlight, Ledger, encode
from worker.contract.queue import enqueue_chunk, frame_queue
from worker.contract.streams import entry_event


def chunks_of(pictures: Sequence[Picture], per_chunk: int, fps: float = 2.0) -> list[Chunk]:
    """The chunks of a lecture, with its ending as the last."""
    height, width = pictures[0].shape[:2]
    jpegs = [cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures]
    stamps = [FrameStamp(n, n / fps) for n in range(len(pictures))]
    chunks = [
        Chunk(ChunkHead(stamps[n : n + per_chunk], width, height), jpegs[n : n + per_chunk])
        for n in range(0, len(pictures), per_chunk)
    ]
    return [*chunks, Chunk(ChunkHead([], width, height, Ending("done")), [])]


def begin_lecture(
    client: redis.Redis, lecture: str, started: float | None = None, size: tuple[int, int] = (1280, 720)
) -> LectureKeys:
    """Everything that exists before the first chunk."""
    keys, begun = LectureKeys(lecture), time.time() if started is None else started
    client.hset(keys.info, mapping={"source": "a.mp4", "status": "running", "started": begun})
    client.hset(keys.info, mapping={"fps": 2, "width": size[0], "height": size[1]})
    client.hset(keys.info, mapping={"sampled": 0, "published": 0, "dropped": 0, "failed": 0})
    client.set(keys.state, b"{}")
    return keys


def push_chunk(client: redis.Redis, keys: LectureKeys, number: int, chunk: Chunk) -> None:
    """Store a chunk without enqueuing its job."""
    for field, value in chunk.to_hash().items():
        client.hset(keys.chunk(number), field, value)
    client.hset(keys.in_flight, str(number), encode(InFlight(len(chunk.head.frames), chunk.size)))
    client.hincrby(keys.info, "sampled", len(chunk.head.frames))


def feed_chunk(client: redis.Redis, keys: LectureKeys, number: int, chunk: Chunk) -> None:
    """Store a chunk and enqueue its job."""
    push_chunk(client, keys, number, chunk)
    enqueue_chunk(frame_queue(client), keys.lecture, number)


def feed_lecture(client: redis.Redis, lecture: str, chunks: Sequence[Chunk]) -> LectureKeys:
    """Store a whole lecture and enqueue all its chunks."""
    keys = begin_lecture(client, lecture)
    for number, chunk in enumerate(chunks):
        feed_chunk(client, keys, number, chunk)
    return keys


def events_of(client: redis.Redis, keys: LectureKeys) -> dict[str, list[Event]]:
    """Every stream of a lecture: its name without the lecture's, and its events."""
    streams = sorted(key for key in client.scan_iter(keys.everything) if client.type(key) == b"stream")
    return {key.decode().removeprefix(keys.info + ":"): _events(client, key) for key in streams}


def _events(client: redis.Redis, stream: bytes) -> list[Event]:
    entries = cast(list[tuple[bytes, dict[bytes, bytes]]], client.xrange(stream))
    return [entry_event(fields) for _, fields in entries]


def ledger_of(client: redis.Redis, keys: LectureKeys) -> Ledger:
    """The ledger of a lecture, read in one transaction."""
    with client.pipeline() as pipe:
        pipe.hgetall(keys.info)
        pipe.hgetall(keys.in_flight)
        return ledger_from_hashes(*pipe.execute())


def await_end(client: redis.Redis, keys: LectureKeys, patience: float = 90) -> None:
    eventually(lambda: client.hget(keys.info, "status") != b"running", patience)
