"""The confidence from which the adaptive ensemble trusts its first model alone. A pure function."""

import numpy as np
import numpy.typing as npt

from training.measuring.metrics import Shares

MAX_LOSS = 0.003
"""The accuracy that the adaptive ensemble may lose against the full one."""

DIGITS = 4
"""Decimal digits of the threshold, and of weights and temperatures in the manifest."""


def fit_threshold(
    confidence: npt.NDArray[np.float32],
    first_right: npt.NDArray[np.bool_],
    full_right: npt.NDArray[np.bool_],
    shares: Shares,
    max_loss: float = MAX_LOSS,
) -> float:
    """The lowest threshold, 0 to 1, that loses at most `max_loss` of accuracy.

    Each argument is [n]: the first model's confidence, whether it is right, and whether the full ensemble is right.
    `shares` sum to one. The loss plus its standard error stay within `max_loss`, at this threshold and at every higher
    one, so a lucky dip further down is not taken. Without the standard error, thresholds lost more than allowed on
    other pictures about twice as often.
    """
    order = np.argsort(-confidence, kind="stable")
    lost = (full_right.astype(float) - first_right)[order] * shares[order]
    bound = np.cumsum(lost) + np.sqrt(np.cumsum(lost**2))
    descending = confidence[order].astype(float)
    last_of_equals = np.append(np.diff(descending) != 0, True)
    allowed = np.logical_and.accumulate(bound[last_of_equals] <= max_loss)
    lowest = descending[last_of_equals][allowed].min(initial=1.0)
    return float(np.ceil(lowest * 10**DIGITS) / 10**DIGITS)
