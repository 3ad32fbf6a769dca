"""The averaged weights of a fit come with batch norm statistics of their own."""

from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from training.fitting.averaging import AveragedWeights, take_average  # noqa: E402

pytestmark = pytest.mark.timeout(900)


def trained() -> Any:
    """A network whose last weights are twice their average, and whose batch norms have the statistics of neither."""
    given = keras.Input((4, 4, 1))
    x = keras.layers.BatchNormalization(name="learns")(keras.layers.Conv2D(2, 1, use_bias=False, name="conv")(given))
    frozen = keras.layers.BatchNormalization(name="frozen", trainable=False)(x)
    network = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Rescaling(1 / 255), keras.Model(given, frozen)])
    network.compile(keras.optimizers.SGD(use_ema=True, ema_momentum=0.5), "mse")
    network.optimizer.build(network.trainable_variables)
    for average, variable in zip(
        network.optimizer._model_variables_moving_average, network.trainable_variables, strict=True
    ):
        average.assign(variable)
        variable.assign(2 * variable)
    return network


def pixels() -> Any:
    return np.random.default_rng(1).integers(0, 255, (300, 4, 4, 1)).astype(np.uint8)


def test_the_average_gets_the_statistics_of_its_own_activations() -> None:
    network = trained()
    inner = network.layers[-1]
    kernel = np.array(inner.get_layer("conv").kernel) / 2
    take_average(network, pixels(), seed=1)
    assert np.allclose(inner.get_layer("conv").kernel, kernel)
    norm = inner.get_layer("learns")
    seen = pixels() / 255 @ kernel[0, 0]
    assert np.allclose(norm.moving_mean, seen.mean(axis=(0, 1, 2)), atol=0.02)
    assert np.allclose(norm.moving_variance, seen.var(axis=(0, 1, 2)), rtol=0.1)
    assert norm.momentum == 0.99
    assert np.allclose(inner.get_layer("frozen").moving_mean, 0), "a frozen norm keeps its statistics"


def test_measuring_the_average_leaves_the_last_weights() -> None:
    network = trained()
    before = [np.array(weight) for weight in network.weights]
    averaged = AveragedWeights(pixels(), seed=1)
    averaged.set_model(network)
    averaged.on_test_begin()
    assert not all(np.allclose(weight, last) for weight, last in zip(network.weights, before, strict=True))
    averaged.on_test_end()
    assert all(np.array_equal(weight, last) for weight, last in zip(network.weights, before, strict=True))
