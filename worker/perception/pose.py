"""The turn of a head, from BlazeFace's six keypoints.

A head is taken as a rigid body that is seen from far away, with its ears on a line and its nose in front of the middle
of that line. docs/pose.md has the geometry, and the error of each angle as measured.
"""

import math
from collections.abc import Sequence

import numpy as np

from worker.contract.messages import Pose

# Proportions of an average head, as BlazeFace places its keypoints (docs/pose.md).
NOSE_FORWARD = 1.08  # from the line between the ears to the tip of the nose, in halves of the distance of the ears
NOSE_LOWERED = 0.75  # how far the nose of a bowed head is lowered, in distances of mouth and eyes
NOSE_BELOW = 0.29  # height of the ears above the nose of an upright head, in the same


def head_pose(keypoints: Sequence[float]) -> Pose:
    """The pose of a face with these keypoints: x, y of each of `faces.KEYPOINTS`, in square pixels of the picture."""
    right_eye, left_eye, nose, mouth, right_ear, left_ear = np.reshape(keypoints, (-1, 2))
    ears = left_ear - right_ear
    length = max(math.hypot(*ears), 1e-3)
    down = np.array([-ears[1], ears[0]]) / length
    nose_from_ears = nose - (right_ear + left_ear) / 2
    across = 2 * float(nose_from_ears @ ears) / length**2
    face = max(float((mouth - (right_eye + left_eye) / 2) @ down), 1e-3)
    below = float(nose_from_ears @ down) / face
    yaw = math.atan(across / NOSE_FORWARD)
    pitch = math.atan((NOSE_BELOW - below) / NOSE_LOWERED)
    roll = math.atan2(ears[1], ears[0])
    return Pose(*(round(math.degrees(angle)) for angle in (yaw, pitch, roll)))
