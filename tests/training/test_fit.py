"""From pictures to an installed model, for real but tiny: a network of three layers sees 56 faces of 32 pixels."""

import csv
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.training.drawn_faces import write_faces
from training.cli import app
from training.quantize import FormFigures
from worker.manifest import Form, Input, Model, load_manifest

pytest.importorskip("tensorflow")

# TensorFlow alone takes 5 s of a free core to import, many more of a busy one.
pytestmark = pytest.mark.timeout(900)

EPOCHS = 3
ROOT = Path(__file__).parents[2]


def training(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_faces(folder / "train", each=8, first_seed=1)
    write_faces(folder / "validation", each=4, first_seed=1001)
    shutil.copy(folder / "validation" / "fear" / "0.png", folder / "train" / "fear" / "copy.png")
    return folder


def fit_arguments(data: Path, run: Path, *more: str) -> list[str]:
    options = {"model": "mobilenetv2", "epochs": EPOCHS, "batch": 16, "size": 32, "out": run}
    named = [text for option, value in options.items() for text in (f"--{option}", str(value))]
    return ["fit", str(data / "train"), "--validation", str(data / "validation"), *named, *more]


@pytest.fixture(scope="module", autouse=True)
def tiny_network() -> Iterator[None]:
    from tests.training.tiny_network import tiny
    from training.networks import NETWORKS

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "mobilenetv2", tiny)
        yield


@pytest.fixture(scope="module")
def resumed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A fit that was killed in its second epoch and called again, and what the second call said."""
    run = tmp_path_factory.mktemp("fit") / "run"
    command = [sys.executable, "-m", "tests.training.tiny_network", *fit_arguments(data, run)]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (run / "mobilenetv2.keras").exists()
    return run, training(*fit_arguments(data, run))


def test_a_fit_that_was_killed_goes_on_where_it_was(resumed: tuple[Path, Result]) -> None:
    run, second = resumed
    assert second.exit_code == 0, second.output
    assert "Epoch 1/3" not in second.stdout
    assert "Epoch 2/3" in second.stdout
    with (run / "history.csv").open(newline="") as file:
        epochs = [float(row["epoch"]) for row in csv.DictReader(file)]
    assert epochs == [1, 2, 3]
    assert (run / "mobilenetv2.keras").is_file()
    assert [file.name for file in run.glob("epoch-*")] == ["epoch-003.weights.h5"]


def test_pictures_that_are_in_validation_are_not_trained_on(resumed: tuple[Path, Result]) -> None:
    assert "56 pictures (left out 1 also in validation)" in resumed[1].stdout


def test_the_same_run_by_another_recipe_is_refused(resumed: tuple[Path, Result], data: Path) -> None:
    result = training(*fit_arguments(data, resumed[0], "--seed", "2"))
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"training fit: {resumed[0]} holds a fit by another recipe; name another --out, or remove it"
    ]


def test_weights_that_do_not_fit_are_refused_and_leave_no_run_behind(data: Path, tmp_path: Path) -> None:
    weights, run = tmp_path / "other.npz", tmp_path / "run"
    np.savez(weights, **{"elsewhere/kernel": np.zeros((3, 3, 3, 8)), "elsewhere/bias": np.zeros(8)})
    result = training(*fit_arguments(data, run, "--weights", str(weights)))
    assert result.exit_code == 2
    assert "no layer of mobilenetv2 in it" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not run.exists()


def quantize(run: Path, data: Path, models: Path, *more: str) -> Result:
    named = ["--validation", str(data / "validation"), "--models", str(models)]
    return training("quantize", run, data / "train", *named, *more)


@pytest.fixture(scope="module")
def installed(resumed: tuple[Path, Result], data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("quantized") / "models"
    result = quantize(resumed[0], data, models, "--max-loss", "1")
    assert result.exit_code == 0, result.output
    assert all(form in result.stdout for form in ("float32", "float16", "dynamic", "int8"))
    return models


def test_quantize_installs_an_int8_file_with_its_manifest(installed: Path) -> None:
    manifest = load_manifest(installed)
    (model,) = manifest.models
    assert (model.name, model.file, model.quantization) == ("mobilenetv2", "mobilenetv2.int8.tflite", "int8")
    assert (model.input.size, model.input.colour, model.weight) == (32, "grey", 1.0)
    assert [Path(folder).name for folder in model.training["data"]] == ["train"]
    assert model.training["recipe"]["epochs"] == EPOCHS
    forms = model.figures["forms"]
    assert forms["int8"]["size"] == (installed / model.file).stat().st_size
    assert forms["float32"]["agreement"] == 1.0
    assert forms["float16"]["agreement"] > 0.9
    assert manifest.temperature > 0


def test_what_quantize_measured_is_what_evaluate_finds(installed: Path, data: Path) -> None:
    result = json.loads(training("evaluate", data / "validation", "--models", installed, "--json").stdout)
    figures = load_manifest(installed).models[0].figures
    assert result["models"]["mobilenetv2"]["accuracy"] == pytest.approx(figures["forms"]["int8"]["accuracy"])
    assert result["n"] == figures["n"] == 28


def test_a_form_that_loses_too_much_is_not_installed(
    resumed: tuple[Path, Result], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training import quantize as quantization

    accuracies: dict[Form, float] = {"float32": 0.70, "int8": 0.60}
    figures = {form: FormFigures(a, agreement=0.9, nll=1.0, size=1, ms_per_face=1.0) for form, a in accuracies.items()}
    made = [Model(form, "a", "b", Input(32, "grey", 0, 1), form, 1, {"recipe": {"model": "m"}}) for form in figures]
    monkeypatch.setattr(quantization, "make_forms", lambda *_: made)
    monkeypatch.setattr(quantization, "measure_forms", lambda *_: figures)
    result = quantize(resumed[0], data, tmp_path / "models")
    assert result.exit_code == 1
    assert "int8 loses 0.1000" in result.stderr
    assert not (tmp_path / "models").exists()


def test_integers_are_inside_and_floats_outside(installed: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(installed / "mobilenetv2.int8.tflite"))
    (given,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (given["dtype"], answer["dtype"]) == (np.float32, np.float32)
    kernels = [t for t in interpreter.get_tensor_details() if t["dtype"] == np.int8 and len(t["shape"]) == 4]
    assert any(len(t["quantization_parameters"]["scales"]) > 1 for t in kernels), "no kernel is quantized per channel"


def test_folded_kernels_give_a_network_the_function_of_the_folded_one(tmp_path: Path) -> None:
    import keras

    from training.networks import load_folded_imagenet

    def network(channels: int, folded: bool) -> keras.Model:
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
    assert load_folded_imagenet(grey, tmp_path / "folded.npz", sample) == 2

    faces = random.uniform(-1, 1, (5, 12, 12, 1)).astype(np.float32)
    expected = folded.predict(np.repeat(faces, 3, axis=-1), verbose=0)
    assert np.ptp(expected) > 0.1
    assert np.allclose(grey.predict(faces, verbose=0), expected, atol=1e-4)
    # In training batch norm uses the statistics of its batch: those of the sample are what it has learned already.
    as_in_training = keras.ops.convert_to_numpy(grey(sample, training=True))
    assert np.allclose(as_in_training, grey.predict(sample, verbose=0), atol=1e-3)


def test_mobilenetv2_takes_any_size_and_gives_seven_logits() -> None:
    from training.networks import mobilenetv2

    network = mobilenetv2(64, 1)
    assert network.input.shape == (None, 64, 64, 1)
    assert network.output.shape == (None, 7)
    assert network.layers[-1].activation.__name__ == "linear"
