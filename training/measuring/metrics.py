"""How good probabilities are, against the truth. NumPy only."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.contract.messages import EMOTIONS
from worker.perception.emotions import SMALLEST, Probabilities

ECE_BINS = 15

Labels = npt.NDArray[np.int64]

Shares = npt.NDArray[np.float64]
"""[n], how much each picture counts; above 0, need not sum to one."""


@dataclass(frozen=True)
class Figures:
    """What `measure` measures. A recall is None where the truth has no such emotion.

    `confusion[i][j]` counts pictures of EMOTIONS[i] read as EMOTIONS[j].
    """

    accuracy: float
    macro_recall: float
    recall: dict[str, float | None]
    ece: float
    nll: float
    confusion: list[list[int]]


def measure(probabilities: Probabilities, labels: Labels) -> Figures:
    """Compare [n, 7] probabilities with [n] labels, indices into EMOTIONS; n is at least 1.

    `macro_recall` is the mean over the emotions that occur. `nll` is the mean negative natural log-likelihood.
    """
    counts = confusion(probabilities, labels)
    occurring = counts.sum(axis=1)
    recalls = {
        emotion: float(counts[i, i] / occurring[i]) if occurring[i] else None for i, emotion in enumerate(EMOTIONS)
    }
    return Figures(
        accuracy=float(np.trace(counts) / counts.sum()),
        macro_recall=float(np.mean([recall for recall in recalls.values() if recall is not None])),
        recall=recalls,
        ece=expected_calibration_error(probabilities, labels),
        nll=negative_log_likelihood(probabilities, labels),
        confusion=counts.tolist(),
    )


def confusion(probabilities: Probabilities, labels: Labels) -> npt.NDArray[np.int64]:
    """[7, 7] counts, rows true, columns read."""
    counts = np.zeros((len(EMOTIONS), len(EMOTIONS)), np.int64)
    np.add.at(counts, (labels, probabilities.argmax(axis=1)), 1)
    return counts


def expected_calibration_error(probabilities: Probabilities, labels: Labels, bins: int = ECE_BINS) -> float:
    """Mean distance between confidence and accuracy over equally wide bins of confidence.

    Naeini et al., 2015; Guo et al., On Calibration of Modern Neural Networks, 2017, equation 3.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    of_bin = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(of_bin, weights=right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))


def negative_log_likelihood(probabilities: Probabilities, labels: Labels, shares: Shares | None = None) -> float:
    """The mean of -ln p(truth), to which each picture adds by its share, or all alike."""
    return float(np.average(-np.log(of_truth(probabilities, labels)), weights=shares))


def of_truth(probabilities: npt.NDArray[np.floating[Any]], labels: Labels) -> npt.NDArray[np.float64]:
    """What each picture's label was given, [n]; 0 counts as next to nothing, so that it has a logarithm."""
    given = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return np.asarray(np.maximum(given, SMALLEST), np.float64)
