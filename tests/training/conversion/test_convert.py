"""Converting a network to TFLite; the whole command is tested in fitting/test_fit.py."""

from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")

from ai_edge_litert.interpreter import Interpreter  # noqa: E402

from training.conversion.convert import _converted  # noqa: E402

# TensorFlow alone takes 5 s of a free core to import, many more of a busy one.
pytestmark = pytest.mark.timeout(900)


def test_in_int8_only_the_first_fully_connected_layer_has_integer_weights(tmp_path: Path) -> None:
    x = given = keras.Input((8, 8, 1))
    for _ in range(4):
        x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    for units in (64, 48):
        x = keras.layers.Dense(units, activation="relu")(x)
        x = keras.layers.BatchNormalization()(x)
    keras.Model(given, keras.layers.Dense(7)(x)).save(tmp_path / "network.keras")
    pictures = np.random.default_rng(1).normal(size=(8, 8, 8, 1)).astype(np.float32)
    interpreter = Interpreter(model_content=dict(_converted(tmp_path / "network.keras", pictures))["int8"])
    kinds = {tuple(t["shape"]): t["dtype"] for t in interpreter.get_tensor_details() if len(t["shape"]) == 2}
    weights = [kinds[shape] for shape in ((64, 8), (48, 64), (7, 48))]
    assert weights == [np.int8, np.float32, np.float32]
