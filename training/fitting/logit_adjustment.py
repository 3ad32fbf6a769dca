"""Logit adjustment: rare emotions are learned as if all emotions were equally frequent.

Menon et al., Long-Tail Learning via Logit Adjustment, 2021, section 4. While a network learns, the logarithm of each
emotion's share in the training set is added to its logit, times a strength. So the network itself need not be biased
towards frequent emotions.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

SMALLEST_PRIOR = 1e-6
"""Replaces the share of an emotion without pictures before the logarithm."""


class AdjustedLogits(keras.layers.Layer):  # type: ignore[misc]  # Keras comes without types
    """Logits [n, 7], adjusted in training only. `priors` are the shares of the seven emotions."""

    def __init__(self, strength: float, priors: Sequence[float]) -> None:
        super().__init__()
        self._added = strength * np.log(np.maximum(np.asarray(priors, np.float32), SMALLEST_PRIOR))

    def call(self, logits: Any, training: bool = False) -> Any:
        """The logits, with the logarithms of the priors added in training."""
        return logits + keras.ops.cast(self._added, logits.dtype) if training else logits
