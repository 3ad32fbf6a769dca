"""The networks: inputs and outputs, the layers that learn, and the weights they start from."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from tests.training.tiny_network import tiny  # noqa: E402
from training.networks import architectures  # noqa: E402
from training.networks.architectures import NETWORKS, choose_tuned  # noqa: E402
from training.networks.imagenet import (  # noqa: E402
    copy_base,
    load_folded,
)
from training.recipe import ModelName  # noqa: E402

pytestmark = pytest.mark.timeout(900)


def test_folded_kernels_give_a_network_the_function_of_the_folded_one(tmp_path: Path) -> None:
    def network(channels: int, folded: bool) -> Any:
        x = given = keras.Input((12, 12, channels))
        for i, layer in enumerate(
            (
                keras.layers.Conv2D(6, 3, use_bias=folded, name="conv"),
                keras.layers.DepthwiseConv2D(3, use_bias=folded, name="depthwise"),
            )
        ):
            x = layer(x)
            x = x if folded else keras.layers.BatchNormalization(name=f"norm_{i}")(x)
            x = keras.layers.ReLU(6.0)(x)
        return keras.Model(given, keras.layers.GlobalAveragePooling2D()(x))

    random = np.random.default_rng(5)
    arrays = {
        "conv/kernel": random.normal(0, 0.5, (3, 3, 3, 6)),
        "conv/bias": random.normal(0, 1, 6),
        "depthwise/kernel": random.normal(0, 0.5, (3, 3, 6, 1)),
        "depthwise/bias": random.normal(0, 1, 6),
    }
    np.savez(tmp_path / "folded.npz", **arrays)
    folded = network(channels=3, folded=True)
    folded.set_weights(list(arrays.values()))
    grey = network(channels=1, folded=False)

    sample = random.uniform(-1, 1, (40, 12, 12, 1)).astype(np.float32)
    load_folded(grey, tmp_path / "folded.npz", sample)

    faces = random.uniform(-1, 1, (5, 12, 12, 1)).astype(np.float32)
    expected = folded.predict(np.repeat(faces, 3, axis=-1), verbose=0)
    assert np.ptp(expected) > 0.1
    assert np.allclose(grey.predict(faces, verbose=0), expected, atol=1e-4)
    # In training a batch norm uses the statistics of its batch; those of the sample it has already.
    as_in_training = keras.ops.convert_to_numpy(grey(sample, training=True))
    assert np.allclose(as_in_training, grey.predict(sample, verbose=0), atol=1e-3)


def test_a_face_networks_kernels_for_bgr_pixels_are_changed_for_standardized_rgb_ones(tmp_path: Path) -> None:
    random = np.random.default_rng(6)
    means = np.array([103.939, 116.779, 123.68])
    kernel, bias = random.normal(0, 0.01, (3, 3, 3, 6)), random.normal(0, 1, 6)
    np.savez(tmp_path / "folded.npz", **{"conv1/kernel": kernel, "conv1/bias": bias})
    given = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(6, 3, use_bias=False, name="conv1")(given)
    x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(x))
    network = keras.Model(given, x, name="mobilenetv1")

    pixels = random.uniform(0, 255, (40, 12, 12, 3)).astype(np.float32)
    load_folded(network, tmp_path / "folded.npz", (pixels - 127.5) / 127.5)

    plain = keras.layers.Conv2D(6, 3)
    plain.build((None, 12, 12, 3))
    plain.set_weights([kernel, bias])
    expected = np.clip(keras.ops.convert_to_numpy(plain(pixels[..., ::-1] - means)), 0, 6)
    assert np.ptp(expected) > 1
    assert np.allclose(network.predict((pixels - 127.5) / 127.5, verbose=0), expected, atol=1e-3)


def test_a_block_that_normalizes_first_starts_with_a_norm_that_is_the_identity(tmp_path: Path) -> None:
    """A small ResNet50V2: a stem, and a block whose outer convolutions have biases and whose inner ones have norms."""

    def network(channels: int, folded: bool) -> Any:
        def norm(x: Any, name: str) -> Any:
            return keras.layers.ReLU()(x if folded else keras.layers.BatchNormalization(name=name)(x))

        given = keras.Input((12, 12, channels))
        stem = keras.layers.Conv2D(6, 3, name="conv1_conv")(given)
        x = norm(stem, "block1_preact_bn")
        shortcut = keras.layers.Conv2D(8, 1, name="block1_0_conv")(x)
        x = norm(keras.layers.Conv2D(4, 1, use_bias=folded, name="block1_1_conv")(x), "block1_1_bn")
        x = keras.layers.Add()([shortcut, keras.layers.Conv2D(8, 1, name="block1_3_conv")(x)])
        x = x if folded else keras.layers.BatchNormalization(name="block2_preact_bn")(x)
        return keras.Model(given, keras.layers.GlobalAveragePooling2D()(x), name="resnet50v2")

    random = np.random.default_rng(7)
    folded = network(channels=3, folded=True)
    folded.set_weights([random.normal(0, 0.5, array.shape) for array in folded.get_weights()])
    arrays = {
        f"{layer.name}/{name}": array
        for layer in folded.layers
        for name, array in zip(("kernel", "bias"), layer.get_weights(), strict=False)
    }
    np.savez(tmp_path / "folded.npz", **arrays)
    grey = network(channels=1, folded=False)

    sample = random.uniform(-1, 1, (40, 12, 12, 1)).astype(np.float32)
    load_folded(grey, tmp_path / "folded.npz", sample)
    assert not np.allclose(grey.get_layer("block1_preact_bn").moving_mean, 0)
    assert np.allclose(grey.get_layer("block2_preact_bn").moving_mean, 0), "its block is not in the file"

    faces = random.uniform(-1, 1, (5, 12, 12, 1)).astype(np.float32)
    expected = folded.predict(np.repeat(faces, 3, axis=-1), verbose=0)
    assert np.ptp(expected) > 0.1
    assert np.allclose(grey.predict(faces, verbose=0), expected, atol=2e-3)


@pytest.mark.parametrize(
    ("name", "size", "channels"), [("inceptionv3", 75, 1), ("mobilenetv2", 32, 3), ("mobilenetv1", 32, 3)]
)
def test_imagenet_weights_give_a_network_the_function_of_the_one_they_come_from(
    name: ModelName, size: int, channels: int
) -> None:
    random = np.random.default_rng(3)
    base = architectures.APPLICATIONS[name](input_shape=(size, size, 3), include_top=False, weights=None)
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_variance.assign(random.uniform(0.5, 2, layer.moving_variance.shape))
            layer.beta.assign(random.normal(0, 0.1, layer.beta.shape))
    network = NETWORKS[name](size, channels)
    assert (network.input.shape, network.output.shape) == ((None, size, size, channels), (None, 7))
    assert network.layers[-1].activation.__name__ == "linear", "logits, not probabilities"
    copy_base(base, network)

    faces = random.uniform(-1, 1, (2, size, size, channels)).astype(np.float32)
    expected = base(np.repeat(faces, 3 // channels, axis=-1), training=False)
    pooled = keras.Model(network.input, network.get_layer("head_pool").input)(faces, training=False)
    assert np.ptp(keras.ops.convert_to_numpy(expected)) > 0.01
    assert np.allclose(pooled, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("tune", "learning"),
    [
        ("head", ["Dense"]),
        (3, ["Conv2D", "BatchNormalization", "Dense"]),
        ("all", [type(layer).__name__ for layer in tiny(32, 1).layers if layer.weights]),
    ],
)
def test_only_the_chosen_layers_learn(tune: Literal["all", "head"] | int, learning: list[str]) -> None:
    network = tiny(32, 1)
    choose_tuned(network, tune)
    assert [type(layer).__name__ for layer in network.layers if layer.trainable_variables] == learning


@pytest.mark.parametrize("tune", [-1, 20, 500])
def test_more_layers_than_the_network_has_are_refused(tune: int) -> None:
    with pytest.raises(ValueError, match=f"mobilenetv2 has 16 layers before its head, not {tune}"):
        choose_tuned(tiny(32, 1), tune)
