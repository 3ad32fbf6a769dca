"""The turn of the head from six keypoints."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gallery import portraits
from worker.contract.messages import TURNED_AWAY_DEG, Pose
from worker.perception.faces import FaceDetector
from worker.perception.pose import NOSE_BELOW, NOSE_FORWARD, NOSE_LOWERED, head_pose
from worker.perception.preprocessing import Image

# Right eye, left eye, nose, mouth, right ear, left ear of an upright head, from the middle between the ears. The
# picture's x, y, and the depth; the distance of the ears is 2.
HALF_FACE = NOSE_LOWERED / NOSE_FORWARD
HEAD = np.array(
    [
        (-0.45, -0.3, 0.7),
        (0.45, -0.3, 0.7),
        (0.0, NOSE_BELOW / HALF_FACE, NOSE_FORWARD),
        (0.0, 1 / HALF_FACE - 0.3, 0.7),
        (-1.0, 0.0, 0.0),
        (1.0, 0.0, 0.0),
    ]
)
ANGLES = st.integers(-40, 40)
COORDINATES = st.floats(-1e6, 1e6)


def turned(yaw: float, pitch: float, roll: float, scale: float = 50.0) -> list[float]:
    """The keypoints of HEAD, nodded by `pitch`, then turned by `yaw`, seen in a picture that is turned by `roll`."""
    y, p, r = np.radians([yaw, pitch, roll])
    nod = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    turn = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    tilt = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return [float(each) for each in (scale * HEAD @ (tilt @ turn @ nod).T)[:, :2].ravel() + 300]


@given(ANGLES, st.integers(-180, 179))
def test_the_turn_to_a_side_and_the_tilt_of_an_average_head_are_found(yaw: int, roll: int) -> None:
    found = head_pose(turned(yaw, 0, roll))
    assert abs(found.yaw - yaw) <= 1
    assert (found.roll - roll + 180) % 360 - 180 in (-1, 0, 1)
    assert abs(found.pitch) <= 1
    assert found.turned_away == (abs(found.yaw) > TURNED_AWAY_DEG)


@given(ANGLES, ANGLES)
def test_a_nod_up_is_positive_and_a_mirrored_head_is_turned_the_other_way(yaw: int, pitch: int) -> None:
    keypoints = turned(yaw, pitch, 5)
    found = head_pose(keypoints)
    assert abs(pitch) <= 5 or np.sign(found.pitch) == np.sign(pitch)
    right_eye, left_eye, nose, mouth, right_ear, left_ear = np.reshape(keypoints, (-1, 2)) * [-1, 1]
    mirrored = head_pose(np.ravel([left_eye, right_eye, nose, mouth, left_ear, right_ear]).tolist())
    difference = np.subtract((mirrored.yaw, mirrored.pitch, mirrored.roll), (-found.yaw, found.pitch, -found.roll))
    assert np.abs(difference).max() <= 1, "angles are rounded"


@given(st.lists(COORDINATES, min_size=12, max_size=12) | st.just([7.0] * 12))
def test_any_keypoints_have_a_pose(keypoints: list[float]) -> None:
    found = head_pose(keypoints)
    assert abs(found.yaw) <= 90
    assert abs(found.pitch) <= 90
    assert abs(found.roll) <= 180


@pytest.mark.parametrize("degrees", [-25, 25])
def test_a_real_face_in_a_tilted_picture_is_tilted(degrees: int) -> None:
    detector = FaceDetector()

    def pose(picture: Image) -> Pose:
        (face,) = detector.detect_in_picture(picture)
        return head_pose(face.keypoints)

    for portrait in portraits():
        height, width = portrait.shape[:2]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1)  # OpenCV turns counter-clockwise
        tilted = cv2.warpAffine(portrait, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        before, after = pose(portrait), pose(np.asarray(tilted, np.uint8))
        assert after.roll - before.roll == pytest.approx(degrees, abs=6)
        assert abs(after.yaw - before.yaw) < 15
