"""Weights of the models of an ensemble, from their predictions for labelled pictures. Pure functions."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import softmax
from scipy.stats import rankdata

from training.measuring.metrics import Labels, Shares, label_probabilities
from training.weighing.temperature import TEMPERATURES
from worker.perception.emotions import SMALLEST


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
