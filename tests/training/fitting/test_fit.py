"""From pictures to an installed model: real, but tiny. A network of three layers is fitted on 56 faces of 32 pixels."""

import csv
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import Result

from tests.training.command_line import refusal, succeeded, training
from tests.training.drawn_faces import write_faces
from training.conversion.forms import FormMetrics
from training.datasets import load_faces, read_dataset
from training.run import read_recipe
from worker.perception.manifest import Form, Input, Model, load_manifest

pytest.importorskip("tensorflow")

# TensorFlow alone takes 5 s of a free core to import, many more of a busy one.
pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).parents[3]

EPOCHS = 12
PATIENCE = 3

# At this rate accuracy stays the same after the first epoch or soon after.
ON_A_PLATEAU = [
    *("--epochs", str(EPOCHS), "--patience", str(PATIENCE), "--schedule", "plateau", "--optimizer", "sgd"),
    *("--learning-rate", "0.01", "--ema", "0.5", "--colour", "rgb"),
    *("--augmentation", "study", "--standardization", "featurewise"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_faces(folder / "train", each=8, first_seed=1)
    write_faces(folder / "validation", each=4, first_seed=1001)
    shutil.copy(folder / "validation" / "fear" / "0.png", folder / "train" / "fear" / "copy.png")
    return folder


def fit_arguments(data: Path, run: Path, *more: str) -> list[str]:
    """A fit of one epoch of two batches."""
    options = {"model": "mobilenetv2", "epochs": 1, "batch": 28, "size": 32, "out": run}
    named = [text for option, value in options.items() for text in (f"--{option}", str(value))]
    return ["fit", str(data / "train"), "--validation", str(data / "validation"), *named, *more]


@pytest.fixture(scope="module", autouse=True)
def tiny_network() -> Iterator[None]:
    from tests.training.tiny_network import tiny_fits

    with tiny_fits():
        yield


def history(run: Path) -> list[dict[str, float]]:
    with (run / "history.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def network_bytes(run: Path) -> bytes:
    """All numbers of a fitted network."""
    import keras

    network = keras.models.load_model(run / "mobilenetv2.keras", compile=False)
    return b"".join(array.tobytes() for array in network.get_weights())


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fit that reached its early end."""
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    succeeded(*fit_arguments(data, run, *ON_A_PLATEAU))
    return run


@pytest.fixture(scope="module")
def resumed(undisturbed: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The same fit, killed in its last epoch and then resumed, and the output of the second call.

    It is killed when the epoch is over and its metrics are written, but not its weights.
    """
    from training.fitting import charts, fit

    run, last = tmp_path_factory.mktemp("resumed") / "run", len(history(undisturbed))
    arguments = fit_arguments(data, run, *ON_A_PLATEAU)
    command = [sys.executable, "-m", "tests.training.tiny_network", f"epoch-{last:03d}.weights.h5", *arguments]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [row["epoch"] for row in history(run)] == [*range(1, last + 1)]
    assert f"epoch-{last - 1:03d}.weights.h5" == max(file.name for file in run.glob("epoch-*"))
    assert not (run / "mobilenetv2.keras").exists()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "save_chart", charts.save_chart)
        return run, training(*arguments)


def test_a_fit_that_no_longer_improves_slows_down_and_stops(undisturbed: Path) -> None:
    rows = history(undisturbed)
    accuracies = [row["val_accuracy"] for row in rows]
    best = accuracies.index(max(accuracies))
    assert len(rows) == best + 1 + PATIENCE < EPOCHS
    rates = [row["learning_rate"] for row in rows]
    assert rates == sorted(rates, reverse=True)
    # A tenth after every epoch without improvement, but not below the minimum.
    assert rates[best + 1 :] == pytest.approx([rates[best], max(rates[best] / 10, 1e-4), 1e-4], rel=1e-4)
    assert {file.name for file in undisturbed.glob("epoch-*")} == {
        f"epoch-{number:03d}.weights.h5" for number in (best + 1, len(rows))
    }


def test_a_fit_that_was_killed_resumes_after_its_last_finished_epoch(resumed: tuple[Path, Result]) -> None:
    run, result = resumed
    last = len(history(run))
    assert result.exit_code == 0, result.output
    assert f"resumes after epoch {last - 1}/{EPOCHS}" in result.stdout
    assert f"epoch {last - 1}/{EPOCHS}:" not in result.stdout
    assert f"epoch {last}/{EPOCHS}: loss" in result.stdout


def test_a_fit_that_was_killed_ends_with_the_same_bytes(undisturbed: Path, resumed: tuple[Path, Result]) -> None:
    run, _ = resumed
    assert (run / "history.csv").read_bytes() == (undisturbed / "history.csv").read_bytes()
    assert network_bytes(run) == network_bytes(undisturbed)
    assert {file.name for file in run.iterdir()} == {file.name for file in undisturbed.iterdir()}


def test_a_fit_leaves_charts_of_its_epochs_and_of_its_confusion(resumed: tuple[Path, Result]) -> None:
    for name, width in (("curves.png", 1000), ("confusion.png", 600)):
        chart = cv2.imread(str(resumed[0] / name))
        assert chart.shape[1] > width
        assert np.ptp(chart) > 200


def test_pictures_that_are_in_validation_are_not_trained_on(resumed: tuple[Path, Result]) -> None:
    assert "56 pictures (left out: 1 also in validation)" in resumed[1].stdout


def test_a_finished_fit_is_left_as_it_is(resumed: tuple[Path, Result], data: Path) -> None:
    before = {file.name: file.stat().st_mtime_ns for file in resumed[0].iterdir() if file.is_file()}
    again = training(*fit_arguments(data, resumed[0], *ON_A_PLATEAU))
    assert again.exit_code == 0
    assert "epoch" not in again.stdout
    assert {file.name: file.stat().st_mtime_ns for file in resumed[0].iterdir() if file.is_file()} == before


def test_the_same_run_by_another_recipe_is_refused(resumed: tuple[Path, Result], data: Path) -> None:
    line = refusal(*fit_arguments(data, resumed[0], "--seed", "2"))
    assert line == f"{resumed[0]} holds a fit by another recipe; name another --out, or remove it"


def test_the_network_that_is_kept_is_the_one_that_was_measured(undisturbed: Path, data: Path) -> None:
    """The average of the weights at the best epoch, by a plain network on standardized pixels."""
    from training.fitting.predict import predict

    faces = load_faces([read_dataset(data / "validation")], 32, "rgb")
    probabilities = predict(undisturbed, faces).astype(np.float64)
    best = max(history(undisturbed), key=lambda row: row["val_accuracy"])
    smooth = 0.9 * np.eye(7)[faces.labels] + 0.1 / 7
    assert -(smooth * np.log(probabilities)).sum(axis=1).mean() == pytest.approx(best["val_loss"], abs=1e-4)
    assert (probabilities.argmax(axis=1) == faces.labels).mean() == pytest.approx(best["val_accuracy"], abs=1e-6)


@pytest.fixture(scope="module")
def one_epoch(undisturbed: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A fit of one epoch on a prepared set, with a teacher, soft targets and mixup, and its arguments."""
    folder = tmp_path_factory.mktemp("soft")
    succeeded("prepare", data / "train", "--out", folder / "set", "--validation-share", "0.2")
    with (folder / "set" / "train" / "index.csv").open(newline="") as file:
        origins = [row["origin"] for row in csv.DictReader(file)]
    np.savez(folder / "soft.npz", origin=origins, teacher=np.full((len(origins), 7), 1 / 7))
    more = ["--targets", str(folder / "soft.npz"), "--mixup", "0.2", "--label-smoothing", "0"]
    more += ["--teacher", str(undisturbed), "--ema", "0.5"]
    arguments = fit_arguments(data, folder / "run", *more)
    arguments[1] = str(folder / "set" / "train")
    succeeded(*arguments)
    recipe = read_recipe(folder / "run")
    assert (recipe.targets, recipe.mixup, recipe.label_smoothing) == (str(folder / "soft.npz"), 0.2, 0.0)
    return folder / "run", arguments


def test_a_finished_fit_is_extended_by_more_epochs(one_epoch: tuple[Path, list[str]]) -> None:
    run, arguments = one_epoch
    before = history(run)
    longer = [*arguments, "--extend", "--epochs", "3"]
    assert "resumes after epoch 1/3" in succeeded(*longer).stdout
    assert [row["epoch"] for row in history(run)] == [1, 2, 3]
    assert history(run)[:1] == before
    assert history(run)[1]["learning_rate"] > before[0]["learning_rate"], "the cosine is longer now"
    assert read_recipe(run).epochs == 3
    assert (run / "epoch-003.weights.h5").is_file()
    assert (run / "mobilenetv2.keras").is_file()
    assert "epoch" not in succeeded(*longer).stdout, "the same command does not extend twice"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--epochs", "20", "--seed", "2"), "holds a fit by another recipe; --extend changes nothing but --epochs"),
        (("--epochs", "2"), f"has {EPOCHS} epochs; --extend with at least as many --epochs"),
    ],
)
def test_a_fit_is_extended_in_epochs_alone(
    options: tuple[str, ...], complaint: str, undisturbed: Path, data: Path
) -> None:
    arguments = fit_arguments(data, undisturbed, *ON_A_PLATEAU, "--extend", *options)
    assert refusal(*arguments) == f"{undisturbed} {complaint}"
    assert (undisturbed / "mobilenetv2.keras").is_file()


def test_a_history_or_a_checkpoint_that_cannot_be_read_is_named(undisturbed: Path, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run, ignore=shutil.ignore_patterns("*.keras"))
    last = max(run.glob("epoch-*"))
    last.write_bytes(last.read_bytes()[:5000])
    assert refusal(*fit_arguments(data, run, *ON_A_PLATEAU)).startswith(f"{last}: cannot be read (")
    (run / "history.csv").write_text("epoch,loss\n1.0,a lot\n")
    line = refusal(*fit_arguments(data, run, *ON_A_PLATEAU))
    assert line.startswith(f"{run / 'history.csv'}: ")
    assert line.endswith(f"remove {run} and fit anew")


def test_a_fit_can_start_and_learn_from_an_earlier_one_and_train_its_head_alone_in_half_precision(
    undisturbed: Path, data: Path, tmp_path: Path
) -> None:
    import keras

    run = tmp_path / "run"
    more = ["--weights", str(undisturbed), "--tune", "head", "--precision", "mixed_bfloat16", "--colour", "rgb"]
    succeeded(*fit_arguments(data, run, *more, "--learning-rate", "0.1", "--teacher", str(undisturbed)))
    assert read_recipe(run).teacher == str(undisturbed)
    before, after = (keras.models.load_model(folder / "mobilenetv2.keras") for folder in (undisturbed, run))
    for old, new in zip(before.layers, after.layers, strict=True):
        same = all(np.array_equal(*pair) for pair in zip(old.get_weights(), new.get_weights(), strict=True))
        assert same == (new.name != "logits"), new.name
        assert new.trainable
        assert new.dtype_policy.name == "float32"


@pytest.mark.parametrize(
    ("teacher", "complaint"),
    [
        ("nowhere", "nowhere/recipe.json: No such file or directory; name the --out of a `training fit`"),
        ("unfinished", "unfinished: holds no network; let its `training fit` finish first"),
    ],
)
def test_a_teacher_that_is_not_fitted_is_named_before_pictures_are_read(
    teacher: str, complaint: str, undisturbed: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "unfinished").mkdir()
    shutil.copy(undisturbed / "recipe.json", tmp_path / "unfinished")
    arguments = fit_arguments(data, tmp_path / "run", "--teacher", str(tmp_path / teacher))
    assert refusal(*arguments) == f"--teacher {tmp_path}/{complaint}"
    assert not (tmp_path / "run").exists()


def test_starting_weights_that_do_not_fit_are_refused_and_leave_no_run(data: Path, tmp_path: Path) -> None:
    weights, run = tmp_path / "other.npz", tmp_path / "run"
    np.savez(weights, **{"elsewhere/kernel": np.zeros((3, 3, 3, 8)), "elsewhere/bias": np.zeros(8)})
    assert "no layer of mobilenetv2 in it" in refusal(*fit_arguments(data, run, "--weights", str(weights)))
    whole = weights.read_bytes()
    for content in (b"", whole[: len(whole) // 2]):
        weights.write_bytes(content)
        assert "no starting weights for mobilenetv2" in refusal(*fit_arguments(data, run, "--weights", str(weights)))
    archive = tmp_path / "other.keras"
    archive.write_bytes(whole)
    assert "no item named 'config.json'" in refusal(*fit_arguments(data, run, "--weights", str(archive)))
    assert not run.exists()


def test_without_a_connection_imagenet_weights_are_refused_with_the_alternatives(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.networks import architectures

    def no_connection(**_: object) -> None:
        raise Exception("URL fetch failure on https://storage.googleapis.com: None -- no route to host")

    monkeypatch.setitem(architectures.APPLICATIONS, "mobilenetv2", no_connection)
    line = refusal(*fit_arguments(data, tmp_path / "run", "--weights", "imagenet"))
    assert line.startswith("--weights imagenet: no download (URL fetch failure on")
    assert line.endswith("pass a .npz or .keras file, or none")


def test_an_out_that_is_not_a_folder_is_refused_in_one_line(data: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    line = refusal(*fit_arguments(data, tmp_path / "run"))
    assert line == f"{tmp_path / 'run'}: File exists; name another --out"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--size", "31"], "--size 31: mobilenetv2 takes pictures of at least 32 pixels"),
        (["--model", "inceptionv3", "--size", "74"], "--size 74: inceptionv3 takes pictures of at least 75 pixels"),
        (["--tune", "500"], "--tune 500: mobilenetv2 has 16 layers before its head"),
        (["--tune", "last"], "--tune last: not a choice of layers; say all, head, or a number of layers"),
        (["--weights", "nowhere.npz"], "--weights nowhere.npz: no such file; name one, or say imagenet or none"),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_one_line(
    data: Path, tmp_path: Path, options: list[str], complaint: str
) -> None:
    assert complaint in refusal(*fit_arguments(data, tmp_path / "run", *options))
    assert not (tmp_path / "run").exists()


def quantize(run: Path, data: Path, models: Path, *more: str) -> Result:
    named = ["--validation", str(data / "validation"), "--models", str(models)]
    return training("quantize", run, data / "train", *named, *more)


@pytest.fixture(scope="module")
def installed(undisturbed: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("quantized") / "models"
    result = quantize(undisturbed, data, models, "--max-loss", "1")
    assert result.exit_code == 0, result.output
    assert all(form in result.stdout for form in ("float32", "float16", "dynamic", "int8"))
    return models


def pixel_statistics(data: Path) -> tuple[float, float]:
    """Mean and deviation of the training pictures."""
    validation = load_faces([read_dataset(data / "validation")], 32, "rgb")
    train = load_faces([read_dataset(data / "train")], 32, "rgb", without=frozenset(validation.digests))
    return float(train.pixels.mean()), float(train.pixels.std())


def test_quantize_installs_an_int8_file_with_its_manifest(installed: Path, data: Path) -> None:
    manifest = load_manifest(installed)
    (model,) = manifest.models
    assert (model.name, model.file, model.quantization) == ("mobilenetv2", "mobilenetv2.int8.tflite", "int8")
    assert (model.input.size, model.input.colour, model.weight) == (32, "rgb", 1.0)
    assert 20 < model.input.mean < 235
    assert (model.input.mean, model.input.std) == pytest.approx(pixel_statistics(data))
    assert [Path(folder).name for folder in model.training["data"]] == ["train"]
    assert model.training["recipe"]["epochs"] == EPOCHS
    forms = model.figures["forms"]
    assert forms["int8"]["size"] == (installed / model.file).stat().st_size
    assert forms["float32"]["agreement"] == 1.0
    assert forms["float16"]["agreement"] > 0.9
    assert manifest.temperature > 0


def test_evaluate_measures_the_same_accuracy_as_quantize(installed: Path, data: Path) -> None:
    result = json.loads(training("evaluate", data / "validation", "--models", installed, "--json").stdout)
    figures = load_manifest(installed).models[0].figures
    assert result["models"]["mobilenetv2"]["accuracy"] == pytest.approx(figures["forms"]["int8"]["accuracy"])
    assert result["n"] == figures["n"] == 28


def test_a_form_that_loses_too_much_is_not_installed(
    undisturbed: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.conversion import convert, forms

    accuracies: dict[Form, float] = {"float32": 0.70, "int8": 0.60}
    metrics = {form: FormMetrics(a, agreement=0.9, nll=1.0, size=1, ms_per_face=1.0) for form, a in accuracies.items()}
    made = [Model(form, "a", "b", Input(32, "rgb", 0, 1), form, 1, {"recipe": {"model": "m"}}) for form in metrics]
    monkeypatch.setattr(convert, "make_forms", lambda *_: made)
    monkeypatch.setattr(forms, "measure_forms", lambda *_: metrics)
    result = quantize(undisturbed, data, tmp_path / "models")
    assert result.exit_code == 1
    assert "int8 loses 0.1000" in result.stderr
    assert not (tmp_path / "models").exists()


def test_an_int8_file_has_integers_inside_and_floats_outside(installed: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(installed / "mobilenetv2.int8.tflite"))
    (given,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (given["dtype"], answer["dtype"]) == (np.float32, np.float32)
    kernels = [t for t in interpreter.get_tensor_details() if t["dtype"] == np.int8 and len(t["shape"]) == 4]
    assert any(len(t["quantization_parameters"]["scales"]) > 1 for t in kernels), "no kernel is quantized per channel"
