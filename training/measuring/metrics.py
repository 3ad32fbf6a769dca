"""Metrics of probabilities against labels. NumPy only."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.contract.messages import EMOTIONS
from worker.perception.emotions import SMALLEST, Probabilities

ECE_BINS = 15

Labels = npt.NDArray[np.int64]
"""[n], indices into EMOTIONS."""

Shares = npt.NDArray[np.float64]
"""[n], the weight of each picture; above 0, need not sum to one."""


@dataclass(frozen=True)
class Metrics:
    """The metrics of n pictures. A recall is None if no label is that emotion.

    `confusion[i][j]` counts pictures labelled EMOTIONS[i] for which EMOTIONS[j] was predicted. `macro_recall` is the
    mean over the emotions that occur, `ece` the expected calibration error, and `nll` the mean negative natural
    log-likelihood.
    """

    accuracy: float
    macro_recall: float
    recall: dict[str, float | None]
    ece: float
    nll: float
    confusion: list[list[int]]


def measure(probabilities: Probabilities, labels: Labels) -> Metrics:
    """The metrics of probabilities [n, 7] against labels [n]; n is at least 1."""
    counts = confusion(probabilities, labels)
    occurring = counts.sum(axis=1)
    recalls = {
        emotion: float(counts[i, i] / occurring[i]) if occurring[i] else None for i, emotion in enumerate(EMOTIONS)
    }
    return Metrics(
        accuracy=accuracy(probabilities, labels),
        macro_recall=float(np.mean([recall for recall in recalls.values() if recall is not None])),
        recall=recalls,
        ece=expected_calibration_error(probabilities, labels),
        nll=negative_log_likelihood(probabilities, labels),
        confusion=counts.tolist(),
    )


def accuracy(probabilities: Probabilities, labels: Labels) -> float:
    """The share of pictures whose label is the most likely emotion."""
    return float((probabilities.argmax(axis=1) == labels).mean())


def confusion(probabilities: Probabilities, labels: Labels) -> npt.NDArray[np.int64]:
    """[7, 7] counts: rows are labels, columns are predictions."""
    counts = np.zeros((len(EMOTIONS), len(EMOTIONS)), np.int64)
    np.add.at(counts, (labels, probabilities.argmax(axis=1)), 1)
    return counts


def expected_calibration_error(probabilities: Probabilities, labels: Labels) -> float:
    """The mean distance between confidence and accuracy over equally wide bins of confidence.

    Naeini et al., 2015; Guo et al., On Calibration of Modern Neural Networks, 2017, equation 3.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    of_bin = np.clip(np.ceil(confidence * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
    gap = np.bincount(of_bin, weights=right - confidence, minlength=ECE_BINS)
    return float(np.abs(gap).sum() / len(labels))


def negative_log_likelihood(probabilities: Probabilities, labels: Labels, shares: Shares | None = None) -> float:
    """The mean of -ln p(label), weighted by `shares` if there are any."""
    return float(np.average(-np.log(label_probabilities(probabilities, labels)), weights=shares))


def label_probabilities(probabilities: npt.NDArray[np.floating[Any]], labels: Labels) -> npt.NDArray[np.float64]:
    """The probability of each picture's label, [n]; at least SMALLEST, so that it has a logarithm."""
    of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return np.asarray(np.maximum(of_label, SMALLEST), np.float64)
