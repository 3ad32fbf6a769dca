"""Starting weights from a quantized network: the weights of a .tflite return to the layers of a Keras network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from tests.training.tiny_network import tiny  # noqa: E402
from training.networks.quantized_weights import load_quantized  # noqa: E402
from worker.perception.interpreter import TFLiteModel  # noqa: E402

pytestmark = pytest.mark.timeout(900)

Form = Literal["float32", "float16", "dynamic", "int8"]


def with_norms_in_the_head() -> Any:
    """As MobileNetV2's head: the converter folds a norm behind an activation into the next dense layer."""
    x = given = keras.Input((16, 16, 1))
    x = keras.layers.Conv2D(8, 3, use_bias=False)(x)
    x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D(name="head_pool")(x)
    for i in (1, 2):
        x = keras.layers.Dense(16, activation="relu", name=f"head_dense_{i}")(x)
        x = keras.layers.BatchNormalization(name=f"head_norm_{i}")(x)
    return keras.Model(given, keras.layers.Dense(7, name="logits")(x), name="mobilenetv2")


def with_norms_before_convolutions() -> Any:
    """As ResNet50V2: a norm that has two readers stays in the file as a product and a sum."""
    given = keras.Input((16, 16, 1))
    stem = keras.layers.Conv2D(8, 3, name="conv1_conv")(given)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(name="block1_preact_bn")(stem))
    shortcut = keras.layers.Conv2D(8, 1, name="block1_0_conv")(x)
    x = keras.layers.Conv2D(8, 1, use_bias=False, name="block1_1_conv")(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(name="block1_1_bn")(x))
    x = keras.layers.Add()([shortcut, keras.layers.Conv2D(8, 1, name="block1_2_conv")(x)])
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(name="post_bn")(x))
    x = keras.layers.GlobalAveragePooling2D(name="head_pool")(x)
    return keras.Model(given, keras.layers.Dense(7, name="logits")(x), name="resnet50v2")


def plain() -> Any:
    return tiny(16, 1)


def fitted(make: Callable[[], Any], random: np.random.Generator) -> Any:
    """A network as a fit leaves it: no norm is the identity."""
    network = make()
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(random.uniform(0.5, 2, layer.gamma.shape))
            layer.beta.assign(random.normal(0, 0.3, layer.beta.shape))
            layer.moving_mean.assign(random.normal(0, 0.1, layer.beta.shape))
            layer.moving_variance.assign(random.uniform(0.5, 2, layer.beta.shape))
    return network


def converted(network: Any, form: Form, sample: Any, path: Path) -> Path:
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    if form != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if form == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if form == "int8":
        converter.representative_dataset = lambda: ([picture[np.newaxis]] for picture in sample)
    path.write_bytes(converter.convert())
    return path


@pytest.mark.parametrize(
    ("make", "form"),
    [
        (plain, "float32"),
        (plain, "float16"),
        (plain, "dynamic"),
        (plain, "int8"),
        (with_norms_in_the_head, "int8"),
        (with_norms_before_convolutions, "int8"),
    ],
)
def test_a_network_has_the_function_of_the_file_it_was_loaded_from(
    make: Callable[[], Any], form: Form, tmp_path: Path
) -> None:
    random = np.random.default_rng(4)
    sample = random.uniform(-1, 1, (64, 16, 16, 1)).astype(np.float32)
    file = converted(fitted(make, random), form, sample, tmp_path / "network.tflite")
    loaded = make()  # its layers without a name have other numbers than in the file
    load_quantized(loaded, file, sample)

    (predicted,) = TFLiteModel(file, batch=len(sample))(sample)
    rounding = {"float32": 1e-4, "float16": 0.01, "dynamic": 0.05, "int8": 0.1}[form]
    assert np.abs(loaded.predict(sample, verbose=0) - predicted).mean() < rounding * predicted.std()
    for layer in loaded.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert not np.allclose(layer.moving_variance, 1), "it has the statistics of the sample"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted(plain(), "dynamic", None, tmp_path_factory.mktemp("converted") / "network.tflite")


NO_SAMPLE = np.zeros((4, 16, 16, 1), np.float32)


def test_the_file_of_another_network_is_refused(file: Path) -> None:
    with pytest.raises(ValueError, match="6 kernels, resnet50v2 has 5; is it the file of another"):
        load_quantized(with_norms_before_convolutions(), file, NO_SAMPLE)


@pytest.mark.parametrize("kept", [9, 40, 300])
def test_a_file_that_is_cut_off_is_refused(kept: int, file: Path, tmp_path: Path) -> None:
    cut = tmp_path / "network.tflite"
    cut.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ValueError, match="is damaged"):
        load_quantized(plain(), cut, NO_SAMPLE)


def test_a_file_that_is_not_a_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "network.tflite").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ValueError, match="is not a TFLite file"):
        load_quantized(plain(), tmp_path / "network.tflite", NO_SAMPLE)
