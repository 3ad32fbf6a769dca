"""Smoothed scores of one face over time."""

from hypothesis import given
from hypothesis import strategies as st

from worker.folding import smoothing
from worker.outcome import FaceObservation, ScoreVector

CALM: ScoreVector = (0.05, 0.0, 0.0, 0.05, 0.0, 0.0, 0.9)
HAPPY: ScoreVector = (0.0, 0.0, 0.0, 0.9, 0.0, 0.05, 0.05)
NEARLY_CALM: ScoreVector = (0.1, 0.0, 0.0, 0.05, 0.0, 0.0, 0.85)


def face(scores: ScoreVector, width: float = 90.0, detection: float = 0.95) -> FaceObservation:
    return FaceObservation((0.0, 0.0, width, width), detection, scores, {}, b"")


def smoothed_scores(before: ScoreVector | None, face: FaceObservation, gap_s: float) -> ScoreVector:
    after = smoothing.smoothed_scores(before, face, gap_s)
    assert after is not None
    return after


def test_a_clear_change_is_followed_at_once_a_small_one_is_averaged_and_old_scores_do_not_persist() -> None:
    assert smoothed_scores(CALM, face(HAPPY), 0.5) == HAPPY
    assert 0.05 < smoothed_scores(CALM, face(NEARLY_CALM), 0.5)[0] < 0.075, "less than half of the way"
    assert abs(smoothed_scores(CALM, face(NEARLY_CALM), 20.0)[0] - 0.1) < 0.001


def test_a_small_or_uncertain_face_changes_the_scores_little() -> None:
    near, far = smoothed_scores(CALM, face(HAPPY), 0.5), smoothed_scores(CALM, face(HAPPY, width=9.0), 0.5)
    uncertain = smoothed_scores(CALM, face(HAPPY, detection=0.3), 0.5)
    assert far[3] < uncertain[3] < near[3]


def test_a_face_that_cannot_be_read_changes_nothing_and_the_first_that_can_begins_the_average() -> None:
    unreadable = FaceObservation((0.0, 0.0, 20.0, 20.0), 0.95, None, {}, b"", "small")
    assert smoothed_scores(CALM, unreadable, 100.0) == CALM
    assert smoothing.smoothed_scores(None, unreadable, 1.0) is None
    assert smoothed_scores(None, face(HAPPY), 1.0) == HAPPY


weights = st.lists(st.floats(0.001, 1), min_size=7, max_size=7)
distributions = weights.map(lambda values: [value / sum(values) for value in values])


@given(distributions, distributions, st.floats(0.01, 500), st.floats(0, 1), st.floats(0, 1e4))
def test_smoothed_scores_are_a_distribution_between_the_old_and_the_new_scores(
    before: list[float], now: list[float], width: float, detection: float, gap: float
) -> None:
    a, b, c, d, e, f, g = now
    old = (before[0], before[1], before[2], before[3], before[4], before[5], before[6])
    after = smoothed_scores(old, face((a, b, c, d, e, f, g), width, detection), gap)
    assert abs(sum(after) - 1) < 1e-9
    assert all(min(x, y) - 1e-12 <= z <= max(x, y) + 1e-12 for x, y, z in zip(before, now, after, strict=True))
