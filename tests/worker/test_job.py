"""Pictures that cannot be looked at: their frames fail, with the reason, and the others are told as ever."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

import worker.job
from tests.gallery import gallery_pages
from tests.lectures import begin_lecture, chunks_of, events_of, feed_lecture, push_chunk
from worker.contract.jobs import MAX_JOB_RETRIES
from worker.contract.messages import Chunk, ChunkHead, ClassEvent, EndEvent, Event, FrameStamp
from worker.contract.queue import enqueue_chunk, frame_queue
from worker.folding.fold import LectureState, fold
from worker.outcome import FaceObservation, FrameObservation, Outcome
from worker.perception.perception import MAX_PIXELS, Perception
from worker.running.process import chunk_worker

PAGES = list(gallery_pages(4, 8, fps=2, size=(640, 360)))
JPEG = cv2.imencode(".jpg", PAGES[0])[1].tobytes()
SMALL = cv2.imencode(".jpg", cv2.resize(PAGES[0], (64, 36)))[1].tobytes()
FACE = FaceObservation((50.0, 50.0, 90.0, 90.0), 0.95, (0.0,) * 6 + (1.0,), {"m": "neutral"}, bytes(256))


def claiming(width: int, height: int) -> bytes:
    """A small JPEG whose header says that it is that large."""
    at = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + JPEG[at + 4 :]


POISON = {
    "nothing": (b"", "bad_picture"),
    "text": (b"not a picture", "bad_picture"),
    "the beginning of one": (JPEG[:100], "bad_picture"),
    "another format": (cv2.imencode(".png", PAGES[0])[1].tobytes(), "bad_picture"),
    "30,000 x 30,000": (claiming(30_000, 30_000), "picture_too_large"),
    "65,535 x 65,535": (claiming(65_535, 65_535), "picture_too_large"),
    "a strip": (claiming(40_000, 16), "bad_picture"),
    "one row too many": (claiming(4096, MAX_PIXELS // 4096 + 1), "picture_too_large"),
}


@pytest.fixture(scope="module")
def perception() -> Perception:
    return worker.job.perception()


@pytest.mark.parametrize(("poison", "reason"), POISON.values(), ids=POISON)
def test_a_picture_that_is_none_fails_alone_before_it_is_decoded(
    perception: Perception, poison: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    decode: Callable[..., object] = cv2.imdecode

    def noting(jpeg: Any, flags: int) -> object:
        decoded.append(jpeg.tobytes())
        return decode(jpeg, flags)

    monkeypatch.setattr(cv2, "imdecode", noting)
    chunk = chunks_of(PAGES[:3], 3)[0]
    chunk.jpegs[1] = poison
    sight = perception.observe(chunk)
    assert sight.failed == {1: reason}
    assert [seen.stamp.frame for seen in sight.frames] == [0, 2]
    assert [len(seen.faces) for seen in sight.frames] == [4, 4]
    assert poison not in decoded


@settings(max_examples=30, deadline=None)
@given(where=st.integers(0, len(SMALL) - 1), what=st.binary(min_size=1, max_size=40))
def test_whatever_is_changed_in_a_picture_it_is_seen_or_its_frame_failed(where: int, what: bytes) -> None:
    changed = SMALL[:where] + what + SMALL[where + len(what) :]
    sight = worker.job.perception().observe(Chunk(ChunkHead([FrameStamp(7, 3.5)], 64, 36), [changed]))
    assert len(sight.frames) + len(sight.failed) == 1
    assert set(sight.failed.values()) <= {"bad_picture", "picture_too_large"}


def test_every_frame_of_a_lecture_with_poison_is_accounted_and_the_others_are_told_as_if_it_had_not_been_there(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three kinds in one chunk: no picture, one too large, and one that makes whoever looks at it raise."""
    chunk, ending = chunks_of(PAGES, 8)
    good = [0, 2, 4, 6, 7]
    head = structs.replace(chunk.head, frames=[chunk.head.frames[n] for n in good])
    without = worked_on(client, [Chunk(head, [chunk.jpegs[n] for n in good]), ending])
    look = Perception.observe

    def raising(self: Perception, chunk: Chunk) -> object:
        if any(stamp.frame == 5 for stamp in chunk.head.frames):
            raise RuntimeError("frame 5")
        return look(self, chunk)

    monkeypatch.setattr(Perception, "observe", raising)
    chunk.jpegs[1], chunk.jpegs[3] = b"not a picture", claiming(30_000, 30_000)
    poisoned = worked_on(client, [chunk, ending])

    end = poisoned["class"][-1]
    assert isinstance(end, EndEvent)
    assert (end.status, end.ledger.published, end.ledger.failed, end.ledger.balances) == ("failed", 5, 3, True)
    assert end.ledger.reasons == {"failed:bad_picture": 1, "failed:picture_too_large": 1, "failed:error": 1}
    assert {name: events[:-1] for name, events in poisoned.items()} == {
        name: events[:-1] for name, events in without.items()
    }
    assert [event.frame for event in poisoned["class"] if isinstance(event, ClassEvent)] == good
    assert len(poisoned) == 1 + 4


def worked_on(client: redis.Redis, chunks: list[Chunk]) -> dict[str, list[Event]]:
    client.flushall()
    keys = feed_lecture(client, "l", chunks)
    worker_ = chunk_worker(client, "w")
    while client.hget(keys.info, "status") == b"running":
        worker_.work(max_jobs=1, logging_level="CRITICAL")
    return events_of(client, keys)


def test_a_chunk_that_raises_is_tried_again_before_any_of_its_frames_is_given_up(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []
    look = Perception.observe

    def raising_twice(self: Perception, chunk: Chunk) -> object:
        tries.append(len(chunk.jpegs))
        if len(tries) <= MAX_JOB_RETRIES:
            raise RuntimeError
        return look(self, chunk)

    monkeypatch.setattr(Perception, "observe", raising_twice)
    end = worked_on(client, chunks_of(PAGES[:2], 2))["class"][-1]
    assert isinstance(end, EndEvent)
    assert (end.status, end.ledger.published) == ("done", 2)
    assert tries == [2] * MAX_JOB_RETRIES + [1, 1, 2]


def test_a_chunk_whose_pixels_are_gone_fails_whole(client: redis.Redis) -> None:
    keys = begin_lecture(client, "l")
    for number, chunk in enumerate(chunks_of(PAGES[:4], 2)):
        push_chunk(client, keys, number, chunk)
        enqueue_chunk(frame_queue(client), "l", number)
    client.delete(keys.chunk(0))
    while client.hget(keys.info, "status") == b"running":
        chunk_worker(client, "w").work(max_jobs=1, logging_level="CRITICAL")
    end = events_of(client, keys)["class"][-1]
    assert isinstance(end, EndEvent)
    assert end.ledger.reasons == {"failed:expired": 2}
    assert end.ledger.published == 2


def test_pixels_are_gone_as_soon_as_what_was_seen_is_safe(client: redis.Redis) -> None:
    keys = feed_lecture(client, "l", chunks_of(PAGES[:4], 2))
    client.lpop("rq:queue:frames")  # the first chunk is nobody's turn yet
    chunk_worker(client, "w").work(max_jobs=1, logging_level="CRITICAL")
    assert client.exists(keys.outcome(1))
    assert not client.exists(keys.chunk(1))
    assert client.exists(keys.chunk(0))


def test_of_several_recordings_one_bad_picture_fails_the_frame_and_silences_nobody_else() -> None:
    def seen(frame: int, *who: str) -> list[FrameObservation]:
        return [FrameObservation(FrameStamp(frame, frame / 2, one, (640, 360)), [FACE]) for one in who]

    outcome = Outcome([*seen(0, "alice", "bob"), *seen(1, "bob"), *seen(3, "alice", "bob")], {1: "error", 2: "error"})
    folded = fold("l", LectureState(), [outcome], [4])
    assert [(event.frame, event.faces) for event in folded.class_] == [(0, 2), (3, 2)]
    assert [event.frame for event in folded.emotions if event.participant == "bob"] == [0, 1, 3]
    assert [event.frame for event in folded.emotions if event.participant == "alice"] == [0, 3]
    assert (folded.published, dict(folded.failed)) == (2, {"error": 2})


@given(
    frames=st.lists(st.sampled_from(["seen", "failed", "half"]), max_size=20),
    chunks=st.integers(1, 4),
)
def test_the_ledger_counts_every_frame_once(frames: list[str], chunks: int) -> None:
    parts = [list(enumerate(frames))[n::chunks] for n in range(chunks)]
    outcomes = [
        Outcome(
            [FrameObservation(FrameStamp(n, n / 2, "bob", (9, 9)), [FACE]) for n, kind in part if kind != "failed"],
            {n: "error" for n, kind in part if kind != "seen"},
        )
        for part in parts
    ]
    folded = fold("l", LectureState(), outcomes, [len(part) for part in parts])
    assert folded.published + folded.failed.total() == len(frames)
    assert np.all([event.frame in {n for n, kind in enumerate(frames) if kind == "seen"} for event in folded.class_])
