"""Faces that are too small, turned away, dark or blurred are not read."""

import cv2
import numpy as np
import pytest

from tests.gallery import gallery_pages, portraits
from worker.contract.messages import UNREADABLE
from worker.perception.faces import Detection, FaceDetector
from worker.perception.preprocessing import Box, Image
from worker.perception.readability import MAX_TURN, Measures, measured, reason, unreadable_because

GOOD = Measures(side=80.0, turn=10.0, contrast=40.0, sharpness=0.2)


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector()


def only(detector: FaceDetector, picture: Image) -> Detection:
    (face,) = detector.detect_in_picture(picture)
    return face


def scaled(picture: Image, factor: float) -> Image:
    return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)


@pytest.mark.parametrize("people", [1, 4, 9, 25])
def test_every_face_of_an_ordinary_gallery_can_be_read(detector: FaceDetector, people: int) -> None:
    (page,) = gallery_pages(people, 1, size=(1280, 720))
    assert {unreadable_because(page, face) for face in detector.detect_in_picture(page)} == {None}


def test_the_same_face_smaller_darker_or_blurred_cannot_be_read(detector: FaceDetector) -> None:
    for portrait in portraits():
        face = only(detector, portrait)
        side = max(face.box[2:])
        blurred = np.asarray(cv2.GaussianBlur(portrait, (0, 0), 0.06 * side), np.uint8)
        small = scaled(portrait, 28 / side)
        assert unreadable_because(portrait, face) is None
        assert unreadable_because(np.asarray(portrait * 0.06, np.uint8), face) == "dark"
        assert unreadable_because(blurred, face) == "blurred"
        assert unreadable_because(small, Detection(shrunk(face.box, 28 / side), 0.9, face.keypoints)) == "small"


def test_a_poor_picture_that_is_shown_large_cannot_be_read(detector: FaceDetector) -> None:
    portrait, _ = portraits()
    face = only(detector, portrait)
    few = scaled(portrait, 14 / max(face.box[2:]))
    enlarged = np.asarray(cv2.resize(few, portrait.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
    assert unreadable_because(enlarged, face) == "blurred"


def shrunk(box: Box, factor: float) -> Box:
    x, y, w, h = box
    return x * factor, y * factor, w * factor, h * factor


def test_light_hardly_changes_the_sharpness(detector: FaceDetector) -> None:
    for portrait in portraits():
        face = only(detector, portrait)
        before = measured(portrait, face).sharpness
        for gain, level in ((0.3, 0), (0.5, 90)):
            other = np.asarray(portrait * gain + level, np.uint8)
            assert measured(other, face).sharpness == pytest.approx(before, rel=0.25)


def test_the_keypoints_are_on_the_face_and_a_mirrored_face_is_turned_as_much(detector: FaceDetector) -> None:
    for portrait in portraits():
        face = only(detector, portrait)
        x, y, w, h = face.box
        right_eye, left_eye, nose, mouth, right_ear, left_ear = np.reshape(face.keypoints, (6, 2))
        assert all(x - w < px < x + 2 * w and y - h < py < y + 2 * h for px, py in (right_eye, left_eye, nose, mouth))
        assert right_ear[0] < right_eye[0] < nose[0] < left_eye[0] < left_ear[0]
        assert max(right_eye[1], left_eye[1]) < nose[1] < mouth[1]
        mirrored = np.ascontiguousarray(portrait[:, ::-1])
        turn = measured(mirrored, only(detector, mirrored)).turn
        assert turn == pytest.approx(measured(portrait, face).turn, abs=5)
        assert turn < 25


@pytest.mark.parametrize(("nose", "turn"), [(50, 0), (75, 25), (100, 43), (130, 56), (-30, 56)])
def test_a_nose_beyond_an_ear_is_turned_away(nose: float, turn: float) -> None:
    keypoints = (30.0, 40.0, 70.0, 40.0, float(nose), 60.0, 50.0, 80.0, 0.0, 50.0, 100.0, 50.0)
    picture = np.random.default_rng(1).integers(0, 255, (100, 100, 3), np.uint8)
    measures = measured(picture, Detection((0.0, 0.0, 100.0, 100.0), 0.9, keypoints))
    assert measures.turn == turn
    assert reason(measures) == ("turned" if turn > MAX_TURN else None)


def test_each_reason_has_its_measure() -> None:
    bad = {"small": {"side": 30.0}, "turned": {"turn": 60.0}, "dark": {"contrast": 5.0}, "blurred": {"sharpness": 0.02}}
    assert reason(GOOD) is None
    assert {why: reason(GOOD._replace(**changed)) for why, changed in bad.items()} == {why: why for why in UNREADABLE}


def test_a_face_at_the_edge_of_the_picture_has_measures(detector: FaceDetector) -> None:
    portrait, _ = portraits()
    face = only(detector, portrait)
    x, y, w, h = face.box
    cut = np.ascontiguousarray(portrait[round(y + h / 3) :, round(x + w / 3) :])
    moved = Detection((-w / 3, -h / 3, w, h), 0.9, face.keypoints)
    assert measured(cut, moved).side == max(w, h)
