"""Logit adjustment: rare emotions weigh as much as frequent ones."""

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras

from training.datasets import FaceArrays
from training.fitting.batches import TrainingBatches
from training.fitting.logit_adjustment import AdjustedLogits
from training.recipe import Recipe

pytestmark = pytest.mark.timeout(900)


def imbalanced(n: int) -> FaceArrays:
    """Grey pictures of two emotions, nine of the first for each of the second, that nothing tells apart."""
    labels = np.array(([0] * 9 + [1]) * (n // 10))
    return FaceArrays(
        np.full((n, 2, 2, 1), 127, np.uint8), labels, [], np.eye(7, dtype=np.float32)[labels], np.ones(n, np.float32)
    )


def test_in_training_the_shares_of_emotions_are_added_and_otherwise_nothing() -> None:
    priors = [0.5, 0.5 - 1e-6, 1e-6, 0, 0, 0, 0]
    layer = AdjustedLogits(2.0, priors)
    logits = np.arange(14, dtype=np.float32).reshape(2, 7)
    assert keras.ops.convert_to_numpy(layer(logits)) == pytest.approx(logits)
    added = keras.ops.convert_to_numpy(layer(logits, training=True)) - logits
    assert added[0] == pytest.approx(2 * np.log([0.5, 0.5, *[1e-6] * 5]), abs=1e-4)


def test_the_priors_are_the_weighted_shares_of_the_targets() -> None:
    batches = TrainingBatches(imbalanced(40), Recipe("mobilenetv2"))
    assert batches.priors == pytest.approx([0.9, 0.1, 0, 0, 0, 0, 0])


@pytest.mark.parametrize(("strength", "expected"), [(0.0, 0.1), (1.0, 0.5)])
def test_a_network_that_sees_no_difference_gives_the_rare_emotion_its_share_or_an_equal_one(
    strength: float, expected: float
) -> None:
    batches = TrainingBatches(imbalanced(400), Recipe("mobilenetv2", batch=400))
    bias = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(7)])
    trained = keras.Sequential([keras.Input((2, 2, 1)), bias, AdjustedLogits(strength, batches.priors.tolist())])
    trained.compile(keras.optimizers.Adam(0.02), keras.losses.CategoricalCrossentropy(from_logits=True))
    pixels, targets, _ = batches[0]
    trained.fit(pixels / 127.0, targets, batch_size=40, epochs=40, verbose=0)
    logits = trained.predict(pixels[:1] / 127.0, verbose=0)[0]
    assert np.exp(logits[1]) / np.exp(logits[:2]).sum() == pytest.approx(expected, abs=0.05)
