import math

import numpy as np
import numpy.typing as npt
import pytest

from training.measuring.metrics import confusion, expected_calibration_error, measure, negative_log_likelihood
from worker.contract.messages import EMOTIONS


def certain(*emotions: int, confidence: float = 1.0) -> npt.NDArray[np.float32]:
    """A row for each emotion, with `confidence` for it and the rest for the others in equal parts."""
    rows = np.full((len(emotions), 7), (1 - confidence) / 6, np.float32)
    rows[np.arange(len(emotions)), emotions] = confidence
    return rows


def labels(*emotions: int) -> npt.NDArray[np.int64]:
    return np.array(emotions, np.int64)


def test_certain_and_right_predictions_have_perfect_metrics() -> None:
    metrics = measure(certain(*range(7)), labels(*range(7)))
    assert (metrics.accuracy, metrics.macro_recall) == (1, 1)
    assert (metrics.ece, metrics.nll) == (0, 0)
    assert metrics.confusion == np.eye(7, dtype=int).tolist()


def test_rows_of_the_confusion_are_labels_and_columns_are_predictions() -> None:
    counts = confusion(certain(3, 3, 6), labels(3, 0, 0))
    assert (counts[3, 3], counts[0, 3], counts[0, 6], counts.sum()) == (1, 1, 1, 3)


def test_rare_emotions_count_as_much_as_frequent_ones_in_macro_recall() -> None:
    metrics = measure(certain(*[3] * 10), labels(*[3] * 9, 0))
    assert metrics.accuracy == pytest.approx(0.9)
    assert metrics.macro_recall == pytest.approx(0.5)


def test_an_emotion_that_does_not_occur_has_no_recall() -> None:
    metrics = measure(certain(3, 3), labels(3, 0))
    assert metrics.recall == {e: {"happiness": 1.0, "anger": 0.0}.get(e) for e in EMOTIONS}
    assert metrics.macro_recall == 0.5


def test_confidence_equal_to_accuracy_is_calibrated() -> None:
    rows = certain(*[3] * 10, confidence=0.8)
    assert expected_calibration_error(rows, labels(*[3] * 8, 0, 0)) == pytest.approx(0, abs=1e-6)


def test_calibration_error_is_the_mean_gap_over_bins() -> None:
    rows = np.concatenate([certain(3, 3, 3, confidence=0.9), certain(0, confidence=0.5)])
    # Three faces at 0.9 of which one is right, one face at 0.5 that is wrong.
    expected = 3 / 4 * (0.9 - 1 / 3) + 1 / 4 * 0.5
    assert expected_calibration_error(rows, labels(3, 0, 0, 1)) == pytest.approx(expected, abs=1e-6)


def test_likelihood_of_even_guesses_is_the_logarithm_of_seven() -> None:
    rows = np.full((4, 7), 1 / 7, np.float32)
    assert negative_log_likelihood(rows, labels(0, 1, 2, 3)) == pytest.approx(math.log(7), abs=1e-6)


def test_a_picture_adds_to_the_likelihood_by_its_share() -> None:
    rows = np.concatenate([certain(0, confidence=0.5), certain(0, confidence=0.25)])
    nll = negative_log_likelihood(rows, labels(0, 0), np.array([3.0, 1.0]))
    assert nll == pytest.approx((3 * math.log(2) + math.log(4)) / 4)


def test_certain_and_wrong_predictions_have_a_high_but_finite_nll() -> None:
    assert 20 < negative_log_likelihood(certain(0), labels(1)) < 100
