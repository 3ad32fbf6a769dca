"""The weights, the temperature and the threshold of an ensemble, fitted to predictions for labelled pictures.

Pure functions: arrays in, numbers out.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from scipy.special import softmax
from scipy.stats import rankdata

from training.measuring.metrics import Labels, Shares, label_probabilities, negative_log_likelihood
from worker.perception.emotions import SMALLEST, Probabilities, calibrate

TEMPERATURES = (0.05, 20.0)
"""The range in which temperatures are searched."""

MAX_EXPONENT = 1.0
"""The largest exponent that is tried for small faces."""

MIN_GAIN = 0.002
"""An exponent must lower the NLL by more than this (nats per picture, summed over both halves)."""

MAX_LOSS = 0.003
"""The accuracy that the adaptive ensemble may lose against the full one."""

DIGITS = 4
"""Decimal digits of weights, temperatures and thresholds in the manifest."""


def rank_weights(accuracy: Mapping[str, float]) -> dict[str, float]:
    """The study's formula (6.6), w_i = R(A_i) / sum of R(A): the worst model has rank 1, equal ones share theirs."""
    ranks = rankdata(list(accuracy.values()), method="average")
    return {name: float(rank / ranks.sum()) for name, rank in zip(accuracy, ranks, strict=True)}


def learned_weights(likelihoods: npt.NDArray[np.float64], shares: Shares) -> npt.NDArray[np.float64]:
    """The weights [m] of the mixture of m models that makes n labels most likely; not negative, they sum to one.

    `likelihoods` [m, n] are the probabilities that each model gives to each label, all above 0. `shares` [n] sum to
    one. The log-likelihood is concave in the weights, so the maximum that SLSQP (Kraft, 1988) finds is the global one.
    """

    def loss_and_gradient(weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        mixed = weights @ likelihoods
        return float(-np.log(mixed) @ shares), -(likelihoods / mixed) @ shares

    models = len(likelihoods)
    found = minimize(
        loss_and_gradient,
        np.full(models, 1 / models),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * models,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-15, "maxiter": 1000},
    )
    weights = np.maximum(found.x, 0)
    return np.asarray(weights / weights.sum(), np.float64)


def joint_weights(
    probabilities: npt.NDArray[np.float64], labels: Labels, shares: Shares, temperature: float
) -> npt.NDArray[np.float64]:
    """The weights [m] that make n labels most likely after the mixture is calibrated by the best temperature.

    `probabilities` [m, n, 7] are the predictions of each model; `shares` as for `learned_weights`. This likelihood may
    have several maxima. The search begins with equal weights and the `temperature` that is best for those. It is
    L-BFGS-B (Byrd, Lu, Nocedal and Zhu, 1995) over logarithms of the weights, which keeps the weights above 0.
    """
    pictures = np.arange(len(labels))

    def loss_and_gradient(x: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        weights, heat = softmax(x[:-1]), np.exp(x[-1])
        mixed = np.maximum(np.tensordot(weights, probabilities, 1), SMALLEST)
        logits = np.log(mixed) / heat
        calibrated = softmax(logits, axis=1)
        loss = float(-np.log(label_probabilities(calibrated, labels)) @ shares)
        calibrated[pictures, labels] -= 1  # the gradient of the loss by the logits, except for the shares
        by_logits = calibrated * shares[:, np.newaxis]
        by_weights = np.tensordot(probabilities, by_logits / (heat * mixed), 2)
        return loss, np.append(weights * (by_weights - weights @ by_weights), -(by_logits * logits).sum())

    models = len(probabilities)
    found = minimize(
        loss_and_gradient,
        np.append(np.zeros(models), np.log(temperature)),
        jac=True,
        method="L-BFGS-B",
        bounds=[*[(None, None)] * models, tuple(np.log(TEMPERATURES))],
        options={"ftol": 1e-12, "gtol": 1e-8, "maxiter": 1000},
    )
    return np.asarray(softmax(found.x[:-1]), np.float64)


def fit_temperature(
    probabilities: Probabilities,
    labels: Labels,
    shares: Shares | None = None,
    factors: npt.NDArray[np.float64] | float = 1.0,
) -> float:
    """The temperature with which the calibrated probabilities [n, 7] make the labels [n] most likely.

    A picture counts by its share, [n]; without `shares` all count the same. `factors` [n] multiply the temperature of
    each picture. Guo et al., On Calibration of Modern Neural Networks, 2017, section 4.2.
    """

    def nll(log_temperature: float) -> float:
        calibrated = calibrate(probabilities, float(np.exp(log_temperature)) * factors)
        return negative_log_likelihood(calibrated, labels, shares)

    return float(np.exp(minimize_scalar(nll, bounds=np.log(TEMPERATURES), method="bounded").x))


def fit_size_exponent(
    probabilities: Probabilities, labels: Labels, smallness: npt.NDArray[np.float64], shares: Shares
) -> float:
    """The exponent of `SmallFaces` with which calibrated probabilities [n, 7] make the labels [n] most likely.

    `smallness` [n] is the side of large faces over that of each picture, at least 1. Returns 0 if the exponent does not
    help on pictures that it was not fitted on: every other picture, and then the others.
    """

    def nll(exponent: float, fitted: slice, measured: slice) -> float:
        """The NLL of the pictures `measured` with the temperature of the pictures `fitted`."""
        factors = smallness**exponent
        temperature = fit_temperature(probabilities[fitted], labels[fitted], shares[fitted], factors[fitted])
        calibrated = calibrate(probabilities[measured], temperature * factors[measured])
        return negative_log_likelihood(calibrated, labels[measured], shares[measured])

    def best(rows: slice) -> float:
        return float(minimize_scalar(nll, bounds=(0, MAX_EXPONENT), args=(rows, rows), method="bounded").x)

    if len(labels) < 2:
        return 0.0
    even, odd = slice(0, None, 2), slice(1, None, 2)
    gain = sum(nll(0.0, one, other) - nll(best(one), one, other) for one, other in ((even, odd), (odd, even)))
    return round(best(slice(None)), DIGITS) if gain > MIN_GAIN else 0.0


def fit_threshold(
    confidence: npt.NDArray[np.float32],
    first_right: npt.NDArray[np.bool_],
    full_right: npt.NDArray[np.bool_],
    shares: Shares,
    max_loss: float = MAX_LOSS,
    errors: float = 1.0,
) -> float:
    """The lowest confidence from which the first model may be trusted alone: it loses at most `max_loss` of accuracy.

    Each argument is [n]: the first model's confidence, whether it is right, and whether the full ensemble is right.
    `shares` sum to one. The loss plus `errors` times its standard error stays within `max_loss` at this threshold and
    at every higher one, so a lower threshold that is good by chance is not chosen. Without the standard error, the loss
    on other pictures exceeded `max_loss` about twice as often."""
    order = np.argsort(-confidence, kind="stable")
    lost = (full_right.astype(float) - first_right)[order] * shares[order]
    bound = np.cumsum(lost) + errors * np.sqrt(np.cumsum(lost**2))
    descending = confidence[order].astype(float)
    last_of_equals = np.append(np.diff(descending) != 0, True)
    allowed = np.logical_and.accumulate(bound[last_of_equals] <= max_loss)
    lowest = descending[last_of_equals][allowed].min(initial=1.0)
    return float(np.ceil(lowest * 10**DIGITS) / 10**DIGITS)
