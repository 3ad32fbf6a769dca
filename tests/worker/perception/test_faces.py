"""Face detection in galleries with a known number of faces at known places."""

import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gallery import gallery_pages, portraits, tiles
from worker.perception.faces import (
    FOLLOW_MARGIN,
    FOLLOW_SHARE,
    MODEL,
    Detection,
    FaceDetector,
    Window,
    windows,
    windows_around,
)
from worker.perception.manifest import MODELS
from worker.perception.preprocessing import Box, Image


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector()


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)])
@pytest.mark.parametrize("people", [1, 2, 4, 9, 25, 49])
def test_every_face_of_a_gallery_is_detected_and_nothing_else(
    detector: FaceDetector, people: int, size: tuple[int, int]
) -> None:
    (page,) = gallery_pages(people, 1, size=size)
    faces = detector.detect_in_picture(page)
    assert len(faces) == people
    for tile in tiles(people, *size):
        assert sum(tile.holds(face.box) for face in faces) == 1


def test_the_model_of_platforms_without_mediapipe_is_the_same_file(monkeypatch: pytest.MonkeyPatch) -> None:
    in_package = find_spec("mediapipe")
    if in_package is None or in_package.origin is None:
        pytest.skip("mediapipe is not installed")
    (page,) = gallery_pages(4, 1)
    faces = FaceDetector().detect_in_picture(page)
    assert (Path(in_package.origin).parent / MODEL).read_bytes() == (MODELS / Path(MODEL).name).read_bytes()
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    assert FaceDetector().detect_in_picture(page) == faces


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (200, 200), (1920, 200)])
def test_a_single_webcam_picture_has_one_face(detector: FaceDetector, size: tuple[int, int]) -> None:
    (page,) = gallery_pages(1, 1, size=size)
    assert len(detector.detect_in_picture(page)) == 1


def test_noise_flat_colour_and_text_have_no_face(detector: FaceDetector) -> None:
    rng = np.random.default_rng(1)
    slide = np.full((720, 1280, 3), 255, np.uint8)
    for line in range(12):
        at = (60, 60 + 54 * line)
        cv2.putText(slide, "Bayes' theorem o(n) :-) 0o8", at, cv2.FONT_HERSHEY_SIMPLEX, 1.6, (20, 20, 20), 3)
    for picture in (rng.integers(0, 255, (720, 1280, 3), np.uint8), np.full((480, 640, 3), 90, np.uint8), slide):
        assert detector.detect_in_picture(picture) == []


def test_a_person_that_joins_in_the_middle_of_a_chunk_is_found_in_that_frame(detector: FaceDetector) -> None:
    two, four = next(gallery_pages(2, 1)), next(gallery_pages(4, 1))
    empty = np.full_like(two, 24)
    found = detector.detect_in_frames([empty, two, two, four, four, empty])
    assert [len(faces) for faces in found] == [0, 2, 2, 4, 4, 0]


@pytest.mark.parametrize("people", [1, 9, 25])
def test_following_faces_searches_far_fewer_windows(
    detector: FaceDetector, monkeypatch: pytest.MonkeyPatch, people: int
) -> None:
    search_window = detector._search_window
    searched: list[Window] = []

    def counted(image: Image, window: Window) -> object:
        searched.append(window)
        return search_window(image, window)

    monkeypatch.setattr(detector, "_search_window", counted)
    pages = list(gallery_pages(people, 6, fps=2))
    for page in pages:
        detector.detect_in_picture(page)
    single = len(searched)
    found = list(detector.detect_in_frames(pages))
    assert [len(faces) for faces in found] == [people] * 6
    assert len(searched) - single < single / 2


def test_a_person_that_sits_down_at_another_place_is_found_in_that_frame(detector: FaceDetector) -> None:
    astronaut, _ = portraits()
    height, width = astronaut.shape[:2]
    pages = []
    for left in (40, 60, 700, 900, 80):
        page = np.full((720, 1280, 3), 24, np.uint8)
        page[200 : 200 + height, left : left + width] = astronaut
        pages.append(page)
    found = list(detector.detect_in_frames(pages))
    assert [len(faces) for faces in found] == [1] * 5
    first = found[0][0].box[0] - 40
    for left, (face,) in zip((40, 60, 700, 900, 80), found, strict=True):
        assert face.box[0] == pytest.approx(left + first, abs=0.15 * face.box[2])


squares = st.tuples(st.floats(-50, 1900), st.floats(-50, 1000), st.floats(8, 400)).map(lambda b: (*b, b[2]))


@given(st.lists(squares, max_size=30))
def test_every_face_is_followed_in_a_window_in_which_it_is_large_enough_and_has_a_margin(boxes: list[Box]) -> None:
    around = windows_around([Detection(box, 0.9, ()) for box in boxes])
    assert len(around) <= len(boxes)
    for x, y, w, h in boxes:
        room = FOLLOW_MARGIN * w - 1  # windows are whole pixels
        assert any(
            left <= x - room
            and top <= y - room
            and left + side >= x + w + room
            and top + side >= y + h + room
            and w >= FOLLOW_SHARE * (side - 1)
            for left, top, side in around
        )


def test_windows_cover_the_picture_and_stay_inside() -> None:
    for width, height in ((1280, 720), (720, 1280), (300, 300), (853, 479), (1920, 100)):
        seen = np.zeros((height, width), bool)
        for x, y, side in windows(width, height):
            assert x >= 0
            assert y >= 0
            assert x + side <= width
            assert y + side <= height
            seen[y : y + side, x : x + side] = True
        assert seen.all()


def test_a_face_cut_by_the_edge_does_not_break_the_check(detector: FaceDetector) -> None:
    astronaut, _ = portraits()
    for cut in range(40, 200, 20):
        detector.detect_in_picture(np.ascontiguousarray(astronaut[:, cut:]))
        detector.detect_in_picture(np.ascontiguousarray(astronaut[cut:]))
