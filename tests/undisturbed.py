"""A small lecture for workers, and its events if nothing goes wrong."""

from functools import cache

import redis

from tests.gallery import Picture, gallery_pages
from tests.lectures import await_end, chunks_of, events_of, feed_lecture
from worker.contract.messages import Chunk, Event
from worker.running.process import chunk_worker

FRAMES = 12


def chunks() -> list[Chunk]:
    """Four chunks of three frames of four people each, and the ending."""
    return chunks_of(_pages(), 3)


def undisturbed(client: redis.Redis) -> dict[str, list[Event]]:
    """The events of the lecture "l" of these chunks, processed by one worker in this process."""
    keys = feed_lecture(client, "l", chunks())
    chunk_worker(client, "undisturbed").work(max_jobs=len(chunks()), logging_level="WARNING")
    await_end(client, keys)
    return events_of(client, keys)


@cache
def _pages() -> list[Picture]:
    return list(gallery_pages(4, FRAMES, fps=2, size=(640, 360)))
