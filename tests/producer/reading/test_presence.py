"""Facing the screen, turned away, out of view: from the events to shares over time."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from producer.reading.analysis.presence import presence, presence_shares
from tests.producer.reading.posing import posed
from tests.producer.reading.writing import class_, emotion, timeline_of
from worker.contract.messages import EmotionEvent, Pose


def yaw(person: int, frame: int) -> int | None:
    """Of four people, one is turned away from 4 to 8 s, one is out of view then, and one comes only then."""
    later = 8 <= frame < 16
    return {0: 5, 1: 50 if later else -10, 2: None if later else 0, 3: 20 if later else None}[person]


def test_the_shares_are_of_the_people_between_their_first_and_last_sighting() -> None:
    seen = timeline_of(posed(4, 24, yaw))
    shares = presence_shares(seen.presence)
    assert shares[0] == pytest.approx([1, 0, 0])
    assert shares[5] == pytest.approx([2 / 4, 1 / 4, 1 / 4])
    assert seen.presence[5] == pytest.approx([2, 1, 1])
    assert shares[10] == pytest.approx([1, 0, 0]), "the fourth has left"
    assert seen.mean_presence is not None
    assert seen.mean_presence.sum() == pytest.approx(1)


def test_of_a_class_without_persons_only_the_faces_in_view_are_known() -> None:
    seen = timeline_of(posed(4, 24, yaw), class_only=True)
    assert seen.presence[5][:2] == pytest.approx([2, 1])
    assert np.isnan(seen.presence[:, 2]).all()
    assert presence_shares(seen.presence)[5][:2] == pytest.approx([2 / 3, 1 / 3])


def test_of_events_from_before_the_pose_nothing_is_said() -> None:
    older = [
        [
            replace(each, pose=Pose(0, 0, 0)) if isinstance(each, EmotionEvent) and each.frame > 3 else each
            for each in (emotion("l", "p01", frame), class_("l", frame, 1))
        ]
        for frame in range(8)
    ]
    seen = timeline_of(older)
    assert np.isnan(seen.presence[:2]).all()
    assert presence_shares(seen.presence)[3] == pytest.approx([1, 0, 0])
    assert timeline_of(older[:4]).mean_presence is None


def test_without_the_lecturer_the_class_is_that_of_the_others() -> None:
    lecture = posed(4, 24, yaw)
    others = posed(4, 24, lambda person, frame: None if person == 0 else yaw(person, frame))
    seen, expected = timeline_of(lecture, without=["p01", "p77"]), timeline_of(others)
    assert [each.id for each in seen.participants] == ["p02", "p03", "p04"]
    assert [each.id for each in seen.left_out] == ["p01"]
    assert [each.id for each in seen.everybody] == ["p01", "p02", "p03", "p04"]
    for name in ("frames", "faces", "read", "scores", "margins", "presence"):
        np.testing.assert_allclose(getattr(seen, name), getattr(expected, name), err_msg=name)
    assert (seen.most_faces, seen.empty) == (expected.most_faces, expected.empty)
    alone = timeline_of(posed(1, 6, lambda _person, _frame: 0), without=["p01"])
    assert (alone.participants, alone.most_faces, alone.empty, alone.mean_scores) == ([], 0, 6, None)


SIGHTINGS = st.lists(st.lists(st.integers(0, 2), min_size=6, max_size=6), min_size=1, max_size=4)


@given(SIGHTINGS, st.randoms())
def test_nobody_counts_twice_or_less_than_not_at_all(sightings: list[list[int]], random: Random) -> None:
    counts = np.array(sightings, float)
    turned = np.array([[random.randint(0, each) for each in row] for row in sightings], float)
    found = presence(np.full(6, 2.0), counts, counts - turned, turned)
    known = ~np.isnan(found[:, 0])
    assert (found[known] >= 0).all()
    assert (found[known].sum(axis=1) <= len(sightings)).all()
    assert np.allclose(np.nansum(presence_shares(found)[known & (np.nansum(found, axis=1) > 0)], axis=1), 1)
