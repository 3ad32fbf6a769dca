"""Appearance descriptors of two people in different light, size and place."""

import cv2
import numpy as np
import pytest

from tests.gallery import portraits
from worker.folding.appearance_distance import blended, distances
from worker.folding.participants import MAX_DISTANCE_LATER
from worker.outcome import DESCRIPTOR_BYTES
from worker.perception.appearance import descriptor
from worker.perception.preprocessing import Box
from worker.perception.scales import Scales

ROOM = (1.0, 0.9, 1.1)


def tile(person: int, size: int = 240, light: float = 1.0, shift: int = 0) -> tuple[Scales, Box]:
    """A tile with a portrait, and the approximate box of the face."""
    portrait = cv2.resize(portraits()[person], (size, size), interpolation=cv2.INTER_AREA)
    page = np.full((size, 2 * size, 3), 40 + 120 * person, np.float32) * np.array(ROOM, np.float32)
    left = size // 2 + shift
    page[:, left : left + size] = portrait
    face = (left + 0.3 * size, 0.15 * size, 0.4 * size, 0.4 * size)
    return Scales(np.clip(page * light, 0, 255).astype(np.uint8)), face


@pytest.mark.parametrize("person", [0, 1])
@pytest.mark.parametrize(
    ("size", "light", "shift"), [(120, 1.0, 0), (480, 1.0, 0), (240, 0.75, 0), (240, 1.15, 0), (240, 1.0, 20)]
)
def test_one_person_has_similar_descriptors_in_another_size_light_and_place(
    person: int, size: int, light: float, shift: int
) -> None:
    here, there = descriptor(*tile(person)), descriptor(*tile(person, size, light, shift))
    other = descriptor(*tile(1 - person))
    assert distances([here], [there]).both < MAX_DISTANCE_LATER
    assert distances([there], [other]).both > MAX_DISTANCE_LATER  # at another place, this is a new person


def test_a_descriptor_blended_with_another_comes_nearer_to_it() -> None:
    one, other = descriptor(*tile(0)), descriptor(*tile(1))
    between = blended(one, other, 0.3)
    assert distances([between], [other]).shape < distances([one], [other]).shape
    assert distances([between], [one]).shape < distances([between], [other]).shape


def test_a_descriptor_has_its_length_for_a_face_at_the_edge_and_on_a_grey_picture_too() -> None:
    assert len(descriptor(*tile(0))) == DESCRIPTOR_BYTES
    page = Scales(np.full((40, 40, 3), 128, np.uint8))
    assert len(descriptor(page, (-10.0, -10.0, 30.0, 30.0))) == DESCRIPTOR_BYTES
    assert len(descriptor(page, (38.0, 38.0, 1.0, 1.0))) == DESCRIPTOR_BYTES
