"""Frames of a live source that wait for room, and those that are dropped."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.feeding.backlog import BACKLOG_S, LINGER_S, LIVE_CHUNK_S, Backlog
from producer.feeding.packing import PACKED_BYTES, PACKED_PICTURES
from producer.feeding.sources.frame import SampledFrame
from worker.contract.messages import Chunk

PLENTY = 2**30


def frame(number: int, t: float, size: int = 1000) -> SampledFrame:
    return SampledFrame(number, t, bytes(size))


def filled(fps: float, count: int, size: int = 1000, max_bytes: int = PLENTY) -> Backlog:
    backlog = Backlog(fps, 640, 360, max_bytes)
    backlog.fill(frame(n, n / fps, size) for n in range(count))
    return backlog


def taken(backlog: Backlog) -> list[Chunk]:
    chunks = []
    while (chunk := backlog.take(PLENTY)) is not None:
        chunks.append(chunk)
    return chunks


def numbers(chunks: list[Chunk]) -> list[int]:
    return [stamp.frame for chunk in chunks for stamp in chunk.head.frames]


def test_at_two_frames_a_second_no_frame_waits_for_another() -> None:
    backlog = Backlog(2, 640, 360, PLENTY)
    backlog.put(frame(0, 0.0))
    assert backlog.wait(0)
    assert numbers(taken(backlog)) == [0]
    assert not backlog.wait(0)


def test_many_frames_a_second_share_a_chunk_but_none_waits_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("producer.feeding.backlog.time", SimpleNamespace(monotonic=lambda: now))
    backlog = Backlog(25, 640, 360, PLENTY)
    backlog.put(frame(0, 0.0))
    assert not backlog.wait(0)
    for n in range(1, 7):
        backlog.put(frame(n, n / 25))
    assert backlog.wait(0)
    assert numbers(taken(backlog)) == list(range(7))
    backlog.put(frame(7, 7 / 25))
    assert not backlog.wait(0)
    now += LINGER_S
    assert backlog.wait(0), "the stream stalls, and the frame does not wait any longer"


def test_chunks_of_one_second_wait_and_the_oldest_are_dropped_whole_if_they_are_too_many_or_too_old() -> None:
    assert [len(chunk.jpegs) for chunk in taken(filled(2, 7))] == [2, 2, 2, 1]
    backlog = filled(2, 10, size=1000, max_bytes=5000)
    assert numbers(taken(backlog)) == [6, 7, 8, 9]
    assert backlog.dropped == 6
    old = filled(2, 100)
    assert old.dropped + len(numbers(taken(old))) == 100
    assert old.dropped >= 100 - 2 * (BACKLOG_S + LIVE_CHUNK_S)


def test_a_chunk_that_is_larger_than_the_room_stays() -> None:
    backlog = filled(2, 2, size=1000)
    assert backlog.take(1999) is None
    assert not backlog.exhausted
    assert numbers([chunk for chunk in [backlog.take(2000)] if chunk]) == [0, 1]
    assert backlog.exhausted
    assert numbers(taken(filled(2, 9, size=1000, max_bytes=1))) == [8], "the newest stays"


@given(
    st.lists(st.tuples(st.floats(0, 5), st.sampled_from([0, 1000, 2**20, PACKED_BYTES + 1])), max_size=60),
    st.sampled_from([1, 10_000, 2**22, PLENTY]),
    st.lists(st.booleans(), max_size=60),
)
def test_every_frame_is_taken_once_in_order_or_counted_as_dropped(
    steps: list[tuple[float, int]], max_bytes: int, take_now: list[bool]
) -> None:
    backlog, t, chunks = Backlog(2, 640, 360, max_bytes), 0.0, []
    for n, (step, size) in enumerate(steps):
        t += step
        backlog.put(frame(n, t, size))
        if n < len(take_now) and take_now[n]:
            chunk = backlog.take(PLENTY)
            assert chunk is not None
            chunks.append(chunk)
    chunks += taken(backlog)
    kept = numbers(chunks)
    assert kept == sorted(set(kept))
    assert len(kept) + backlog.dropped == len(steps)
    for chunk in chunks:
        times = [stamp.t for stamp in chunk.head.frames]
        assert times[-1] - times[0] < LIVE_CHUNK_S
        assert len(times) <= PACKED_PICTURES
        assert chunk.size <= PACKED_BYTES or len(times) == 1
    if steps:
        assert kept[-1] == len(steps) - 1, "the newest frame is never dropped"
