"""One face over time."""

from hypothesis import given
from hypothesis import strategies as st

from worker.folding.smoothing import smoothed_scores
from worker.outcome import FaceObservation, ScoreVector

CALM: ScoreVector = (0.05, 0.0, 0.0, 0.05, 0.0, 0.0, 0.9)
HAPPY: ScoreVector = (0.0, 0.0, 0.0, 0.9, 0.0, 0.05, 0.05)
SAME_TO_A_HAIR: ScoreVector = (0.1, 0.0, 0.0, 0.05, 0.0, 0.0, 0.85)


def seen(scores: ScoreVector, width: float = 90.0, detection: float = 0.95) -> FaceObservation:
    return FaceObservation((0.0, 0.0, width, width), detection, scores, {}, b"")


def test_a_clear_change_of_expression_is_followed_at_once() -> None:
    assert smoothed_scores(CALM, seen(HAPPY), 0.5) == HAPPY


def test_a_small_difference_is_averaged_away() -> None:
    after = smoothed_scores(CALM, seen(SAME_TO_A_HAIR), 0.5)
    assert 0.05 < after[0] < 0.075  # less than half of the way


def test_a_face_hardly_seen_moves_little() -> None:
    near, far = smoothed_scores(CALM, seen(HAPPY), 0.5), smoothed_scores(CALM, seen(HAPPY, width=9.0), 0.5)
    unsure = smoothed_scores(CALM, seen(HAPPY, detection=0.3), 0.5)
    assert far[3] < unsure[3] < near[3]


def test_a_face_unseen_for_a_while_is_not_held_frozen() -> None:
    assert abs(smoothed_scores(CALM, seen(SAME_TO_A_HAIR), 20.0)[0] - 0.1) < 0.001


readings = st.lists(st.floats(0.001, 1), min_size=7, max_size=7).map(lambda raw: [value / sum(raw) for value in raw])


@given(readings, readings, st.floats(0.01, 500), st.floats(0, 1), st.floats(0, 1e4))
def test_whatever_is_seen_it_stays_a_distribution_between_what_was_and_what_is(
    before: list[float], now: list[float], width: float, detection: float, gap: float
) -> None:
    a, b, c, d, e, f, g = now
    old = (before[0], before[1], before[2], before[3], before[4], before[5], before[6])
    after = smoothed_scores(old, seen((a, b, c, d, e, f, g), width, detection), gap)
    assert abs(sum(after) - 1) < 1e-9
    assert all(min(x, y) - 1e-12 <= z <= max(x, y) + 1e-12 for x, y, z in zip(before, now, after, strict=True))
