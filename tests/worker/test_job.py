"""Pictures and chunks that cannot be processed: their frames fail with a reason, all others are published."""

from collections.abc import Callable, Sequence
from pathlib import Path
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
from tests.lectures import chunks_of, events_of, feed_lecture
from tests.scraping import counted
from tests.worker.perception.linear_network import write_adaptive_models
from worker.contract.jobs import MAX_JOB_RETRIES
from worker.contract.keys import LectureKeys
from worker.contract.messages import Chunk, ChunkHead, ClassEvent, EmotionEvent, EndEvent, Event, FrameStamp
from worker.perception.emotions import Ensemble, Predictions
from worker.perception.perception import MAX_PIXELS, Perception
from worker.perception.preprocessing import Image
from worker.running.process import chunk_worker

PAGES = list(gallery_pages(4, 8, fps=2, size=(640, 360)))
JPEG = cv2.imencode(".jpg", PAGES[0])[1].tobytes()
SMALL = cv2.imencode(".jpg", cv2.resize(PAGES[0], (64, 36)))[1].tobytes()


def claiming(width: int, height: int) -> bytes:
    """A small JPEG whose header claims this size."""
    at = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + JPEG[at + 4 :]


BAD_PICTURES = {
    "empty": (b"", "bad_picture"),
    "text": (b"not a picture", "bad_picture"),
    "the beginning of one": (JPEG[:100], "bad_picture"),
    "a PNG": (cv2.imencode(".png", PAGES[0])[1].tobytes(), "bad_picture"),
    "30,000 x 30,000": (claiming(30_000, 30_000), "picture_too_large"),
    "65,535 x 65,535": (claiming(65_535, 65_535), "picture_too_large"),
    "a strip": (claiming(40_000, 16), "bad_picture"),
    "one row too many": (claiming(4096, MAX_PIXELS // 4096 + 1), "picture_too_large"),
}


@pytest.fixture(scope="module")
def perception() -> Perception:
    return worker.job.perception()


@pytest.mark.parametrize(("bad", "reason"), BAD_PICTURES.values(), ids=BAD_PICTURES)
def test_a_bad_picture_fails_alone_and_is_never_decoded(
    perception: Perception, bad: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    decode: Callable[..., object] = cv2.imdecode

    def recorded(jpeg: Any, flags: int) -> object:
        decoded.append(jpeg.tobytes())
        return decode(jpeg, flags)

    monkeypatch.setattr(cv2, "imdecode", recorded)
    chunk = chunks_of(PAGES[:3], 3)[0]
    chunk.jpegs[1] = bad
    observations = perception.observe(chunk)
    assert observations.failed == {1: reason}
    assert [frame.stamp.frame for frame in observations.frames] == [0, 2]
    assert [len(frame.faces) for frame in observations.frames] == [4, 4]
    assert bad not in decoded


@settings(max_examples=30)
@given(at=st.integers(0, len(SMALL) - 1), values=st.binary(min_size=1, max_size=40))
def test_a_damaged_picture_is_observed_or_its_frame_fails(at: int, values: bytes) -> None:
    changed = SMALL[:at] + values + SMALL[at + len(values) :]
    observations = worker.job.perception().observe(Chunk(ChunkHead([FrameStamp(7, 3.5)], 64, 36), [changed]))
    assert len(observations.frames) + len(observations.failed) == 1
    assert set(observations.failed.values()) <= {"bad_picture", "picture_too_large"}


def test_bad_pictures_are_accounted_for_and_all_other_frames_have_the_same_events_as_without_them(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three kinds in one chunk: not a picture, a picture that is too large, and one that raises."""
    chunk, ending = chunks_of(PAGES, 8)
    good = [0, 2, 4, 6, 7]
    head = structs.replace(chunk.head, frames=[chunk.head.frames[n] for n in good])
    without = events_after_work(client, [Chunk(head, [chunk.jpegs[n] for n in good]), ending])
    observe = Perception.observe

    def raising(self: Perception, chunk: Chunk) -> object:
        if any(stamp.frame == 5 for stamp in chunk.head.frames):
            raise RuntimeError("frame 5")
        return observe(self, chunk)

    monkeypatch.setattr(Perception, "observe", raising)
    chunk.jpegs[1], chunk.jpegs[3] = b"not a picture", claiming(30_000, 30_000)
    with_bad_pictures = events_after_work(client, [chunk, ending])

    end = with_bad_pictures["class"][-1]
    assert isinstance(end, EndEvent)
    assert (end.status, end.ledger.published, end.ledger.failed, end.ledger.balances) == ("failed", 5, 3, True)
    assert end.ledger.reasons == {"failed:bad_picture": 1, "failed:picture_too_large": 1, "failed:error": 1}
    assert {name: events[:-1] for name, events in with_bad_pictures.items()} == {
        name: events[:-1] for name, events in without.items()
    }
    assert [event.frame for event in with_bad_pictures["class"] if isinstance(event, ClassEvent)] == good
    assert len(with_bad_pictures) == 1 + 4


def events_after_work(client: redis.Redis, chunks: list[Chunk]) -> dict[str, list[Event]]:
    client.flushall()
    return work_to_the_end(client, feed_lecture(client, "l", chunks))


def work_to_the_end(client: redis.Redis, keys: LectureKeys) -> dict[str, list[Event]]:
    one_worker = chunk_worker(client, "w")
    while client.hget(keys.info, "status") == b"running":
        one_worker.work(max_jobs=1, logging_level="CRITICAL")
    return events_of(client, keys)


def test_a_job_counts_its_faces_and_those_that_were_escalated(
    client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for threshold, escalated in ((0.0, 0), (1.0, 8)):
        models = tmp_path / str(threshold)
        models.mkdir()
        write_adaptive_models(models, "mobilenetv2", threshold)
        monkeypatch.setattr(worker.job, "_loaded", Perception(models, "adaptive"))
        faces, escalations = counted("faces"), counted("escalations")
        streams = events_after_work(client, chunks_of(PAGES[:2], 1)).values()
        assert (counted("faces"), counted("escalations")) == (faces + 8, escalations + escalated)
        emotions = [event for stream in streams for event in stream if isinstance(event, EmotionEvent)]
        assert [len(event.models) for event in emotions] == [2 if escalated else 1] * 8


def test_faces_that_cannot_be_read_are_followed_and_counted_but_no_network_reads_them(
    client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = [np.asarray(cv2.resize(page, (160, 90), interpolation=cv2.INTER_AREA), np.uint8) for page in PAGES[:4]]
    read: list[int] = []
    predict = Ensemble.predict

    def recorded(self: Ensemble, crops: Sequence[Image], before: Sequence[int]) -> Predictions:
        read.append(len(crops))
        return predict(self, crops, before)

    monkeypatch.setattr(Ensemble, "predict", recorded)
    faces, unreadable = counted("faces"), counted("faces_unreadable", reason="small")
    streams = events_after_work(client, chunks_of(small, 2))
    assert set(read) == {0}
    assert (counted("faces"), counted("faces_unreadable", reason="small")) == (faces + 16, unreadable + 16)
    sightings = [event for stream in streams.values() for event in stream if isinstance(event, EmotionEvent)]
    assert [(event.readable, event.reason, event.emotion) for event in sightings] == [(False, "small", None)] * 16
    classes = [event for event in streams["class"] if isinstance(event, ClassEvent)]
    assert [(event.faces, event.unreadable, event.scores) for event in classes[-2:]] == [(4, 4, None)] * 2
    assert len(streams) == 1 + 4


def test_a_chunk_that_raises_is_retried_before_any_of_its_frames_fails(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = []
    observe = Perception.observe

    def raising_twice(self: Perception, chunk: Chunk) -> object:
        attempts.append(len(chunk.jpegs))
        if len(attempts) <= MAX_JOB_RETRIES:
            raise RuntimeError
        return observe(self, chunk)

    monkeypatch.setattr(Perception, "observe", raising_twice)
    end = events_after_work(client, chunks_of(PAGES[:2], 2))["class"][-1]
    assert isinstance(end, EndEvent)
    assert (end.status, end.ledger.published) == ("done", 2)
    assert attempts == [2] * MAX_JOB_RETRIES + [1, 1, 2]


def test_a_chunk_whose_pixels_have_expired_is_retried_and_fails_completely(client: redis.Redis) -> None:
    retries, failed = (counted(name, reason="expired") for name in ("job_retries", "frames_failed"))
    keys = feed_lecture(client, "l", chunks_of(PAGES[:4], 2))
    client.delete(keys.chunk(0))
    end = work_to_the_end(client, keys)["class"][-1]
    assert isinstance(end, EndEvent)
    assert end.ledger.reasons == {"failed:expired": 2}
    assert end.ledger.published == 2
    assert counted("job_retries", reason="expired") == retries + MAX_JOB_RETRIES
    assert counted("frames_failed", reason="expired") == failed + 2


def test_pixels_are_deleted_as_soon_as_the_outcome_is_stored(client: redis.Redis) -> None:
    keys = feed_lecture(client, "l", chunks_of(PAGES[:4], 2))
    client.lpop("rq:queue:frames")  # the first chunk is not processed yet, so the second must wait
    chunk_worker(client, "w").work(max_jobs=1, logging_level="CRITICAL")
    assert client.exists(keys.outcome(1))
    assert not client.exists(keys.chunk(1))
    assert client.exists(keys.chunk(0))
