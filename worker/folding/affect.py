"""Valence and arousal of a mixture of displayed emotions: a fixed linear map of the scores, not a measurement."""

import numpy as np
import numpy.typing as npt

# Pleasure and arousal of the seven terms, -1 to 1: Russell and Mehrabian, "Evidence for a three-factor theory of
# emotions", Journal of Research in Personality 11 (1977), table 1 (angry, disgusted, fearful, happy, sad, astonished).
# In the contract's order; neutral is the origin.
VALENCE = np.array([-0.51, -0.60, -0.64, 0.81, -0.63, 0.40, 0.0])
AROUSAL = np.array([0.59, 0.35, 0.60, 0.51, -0.27, 0.67, 0.0])


def valence_and_arousal(scores: npt.ArrayLike) -> tuple[float, float]:
    """The expected pleasure and arousal, -1 to 1 each, of probabilities [7] in the contract's order."""
    p = np.asarray(scores, float)
    return float(p @ VALENCE), float(p @ AROUSAL)
