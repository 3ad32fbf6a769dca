"""The temperature that calibrates probabilities. A pure function."""

import numpy as np
from scipy.optimize import minimize_scalar

from training.measuring.metrics import Labels, Shares, negative_log_likelihood
from worker.perception.emotions import Probabilities, calibrate

TEMPERATURES = (0.05, 20.0)
"""The range of the search."""


def fit_temperature(probabilities: Probabilities, labels: Labels, shares: Shares | None = None) -> float:
    """The temperature with which the calibrated probabilities [n, 7] make the labels [n] most likely.

    A picture counts by its share, [n]; without `shares` all count the same. Guo et al., On Calibration of Modern Neural
    Networks, 2017, section 4.2.
    """

    def nll(log_temperature: float) -> float:
        return negative_log_likelihood(calibrate(probabilities, float(np.exp(log_temperature))), labels, shares)

    return float(np.exp(minimize_scalar(nll, bounds=np.log(TEMPERATURES), method="bounded").x))
