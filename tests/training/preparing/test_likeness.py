"""Which pictures count as copies of each other, and which do not."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.drawn_faces import distinct_face
from training.preparing.selection.likeness import MAX_BITS, Likeness, alike_pairs, likeness
from worker.perception.preprocessing import padded_square

Pixels = npt.NDArray[np.uint8]


def are_alike(a: Pixels, b: Pixels) -> bool:
    return bool(len(alike_pairs([likeness(a), likeness(b)])))


def test_a_picture_compressed_scaled_darkened_or_in_grey_is_the_same_picture() -> None:
    picture = distinct_face("fear", seed=1, side=96)
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 30])
    tinted = picture.copy()
    tinted[..., 0] //= 2
    for other in (
        cv2.imdecode(jpeg, cv2.IMREAD_COLOR),
        cv2.resize(picture, (48, 48), interpolation=cv2.INTER_AREA),
        (picture * 0.6).astype(np.uint8),
        tinted,
    ):
        assert are_alike(picture, np.asarray(other, np.uint8))
        assert likeness(picture).digest != likeness(np.asarray(other, np.uint8)).digest


def test_a_picture_cut_a_little_narrower_is_the_same_picture() -> None:
    picture = distinct_face("fear", seed=1, side=96)
    assert are_alike(picture, padded_square(picture, 2, 2, 92))
    assert not are_alike(picture, padded_square(picture, 20, 20, 56))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=12, unique=True))
def test_other_faces_are_other_pictures(seeds: list[int]) -> None:
    assert len(alike_pairs([likeness(distinct_face("fear", seed)) for seed in seeds])) == 0


def test_equal_hashes_alone_do_not_make_a_copy() -> None:
    one, other = (likeness(distinct_face("fear", seed)) for seed in (1, 2))
    assert len(alike_pairs([one, Likeness(other.digest, one.hash, other.small)])) == 0


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**63 - 1), st.sets(st.integers(0, 62), max_size=6), st.data())
def test_hashes_that_differ_in_fewer_bits_than_there_are_bands_are_always_compared(
    bits: int, flipped: set[int], data: st.DataObject
) -> None:
    face = likeness(distinct_face("fear", seed=1))
    other = Likeness(b"", bits ^ sum(1 << bit for bit in flipped), face.small)
    others = [likeness(distinct_face("fear", seed)) for seed in range(2, 6)]
    at = data.draw(st.integers(0, len(others)))
    pairs = alike_pairs([Likeness(b"", bits, face.small), *others[:at], other, *others[at:]])
    assert pairs.tolist() == [[0, at + 1]]


def test_hashes_that_differ_in_many_bits_are_not_compared() -> None:
    face = likeness(distinct_face("fear", seed=1))
    far = Likeness(b"", face.hash ^ ((1 << (MAX_BITS + 1)) - 1), face.small)
    assert len(alike_pairs([face, far])) == 0


def test_of_large_buckets_all_pairs_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.preparing.selection.likeness._ROWS_AT_ONCE", 8)
    monkeypatch.setattr("training.preparing.selection.likeness._PAIRS_AT_ONCE", 64)
    face = likeness(distinct_face("fear", seed=1))
    n = 20
    assert len(alike_pairs([face] * n)) == n * (n - 1) // 2
