"""Frames to chunks, within the bounds."""

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from producer.feeding.packing import PACKED_BYTES, PACKED_PICTURES, PACKED_S, packed
from producer.feeding.sources.frame import SampledFrame
from worker.contract.messages import Chunk


def frames(fps: float, sizes: list[int]) -> list[SampledFrame]:
    return [SampledFrame(number, number / fps, bytes(size)) for number, size in enumerate(sizes)]


def seconds(chunk: Chunk) -> float:
    return chunk.head.frames[-1].t - chunk.head.frames[0].t


@given(
    st.sampled_from([0.05, 0.5, 2.0, 7.5, 60.0]),
    st.lists(st.sampled_from([0, 1, 2**18, 2**20, PACKED_BYTES, PACKED_BYTES + 1]), max_size=60),
)
def test_packing_keeps_every_frame_in_order_and_every_chunk_within_bounds(fps: float, sizes: list[int]) -> None:
    fed = frames(fps, sizes)
    chunks = list(packed(fed, 640, 360))
    stamps = [stamp for chunk in chunks for stamp in chunk.head.frames]
    assert [(stamp.frame, stamp.t) for stamp in stamps] == [(frame.frame, frame.t) for frame in fed]
    assert [jpeg for chunk in chunks for jpeg in chunk.jpegs] == [frame.jpeg for frame in fed]
    for chunk in chunks:
        assert 1 <= len(chunk.jpegs) <= PACKED_PICTURES
        assert seconds(chunk) < PACKED_S
        assert chunk.size <= PACKED_BYTES or len(chunk.jpegs) == 1
        assert (chunk.head.width, chunk.head.height, chunk.head.ending) == (640, 360, None)


@given(st.lists(st.lists(st.sampled_from([0, 2**18, 2**20, PACKED_BYTES]), min_size=1, max_size=20), max_size=20))
def test_the_pictures_of_one_frame_are_never_parted(sizes: list[list[int]]) -> None:
    fed = [
        SampledFrame(number, number / 2, bytes(size), f"p{i}", (640 + i, 360))
        for number, pictures in enumerate(sizes)
        for i, size in enumerate(pictures)
    ]
    chunks = list(packed(fed, 640, 360))
    stamps = [stamp for chunk in chunks for stamp in chunk.head.frames]
    assert [(stamp.frame, stamp.t, stamp.participant, stamp.size) for stamp in stamps] == [
        (picture.frame, picture.t, picture.participant, picture.size) for picture in fed
    ]
    assert sum(chunk.head.frame_count for chunk in chunks) == len(sizes)
    for chunk in chunks:
        assert chunk.head.frame_count == 1 or (len(chunk.jpegs) <= PACKED_PICTURES and chunk.size <= PACKED_BYTES)


def test_eight_seconds_are_one_chunk_at_any_rate() -> None:
    assert [len(chunk.jpegs) for chunk in packed(frames(2, [1000] * 40), 640, 360)] == [16, 16, 8]
    assert [len(chunk.jpegs) for chunk in packed(frames(0.5, [1000] * 10), 640, 360)] == [4, 4, 2]


def test_a_chunk_comes_as_soon_as_it_is_full() -> None:
    endless = (SampledFrame(number, number / 2, b"jpeg") for number in itertools.count())
    assert math.isclose(next(packed(endless, 640, 360)).head.frames[0].t, 0.0)
