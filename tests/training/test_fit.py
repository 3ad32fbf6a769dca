"""From pictures to an installed model, for real but tiny: a network of three layers sees 56 faces of 32 pixels."""

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
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from tests.training.drawn_faces import write_faces
from training.cli import app
from training.datasets import Faces, load_faces, read_dataset
from training.quantize import FormFigures
from training.recipe import Recipe, RunError, Standardization, read_recipe, read_standardization, write_whole
from worker.perception.manifest import Form, Input, Model, load_manifest

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
    from tests.training.tiny_network import PLATEAU_PATIENCE, tiny
    from training import fit
    from training.networks import NETWORKS

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "mobilenetv2", tiny)
        patch.setattr(fit, "PLATEAU_PATIENCE", PLATEAU_PATIENCE)
        yield


def killed(moment: str, arguments: list[str]) -> None:
    """Run `training` in a process of its own until it is killed at `moment` (see tiny_network)."""
    command = [sys.executable, "-m", "tests.training.tiny_network", moment, *arguments]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == -signal.SIGKILL, process.stderr


def history(run: Path) -> list[dict[str, float]]:
    with (run / "history.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def fitted_weights(run: Path) -> bytes:
    """All numbers of a fitted network."""
    import keras

    network = keras.models.load_model(run / "mobilenetv2.keras", compile=False)
    return b"".join(array.tobytes() for array in network.get_weights())


def one_line(result: Result) -> str:
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    return line


@pytest.fixture(scope="module")
def resumed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A fit that was killed in a bad moment and called again, and what the second call said.

    The second epoch was over and its figures were written, the state to go on from was not.
    """
    run = tmp_path_factory.mktemp("fit") / "run"
    arguments = fit_arguments(data, run, "--standardization", "featurewise")
    killed("writing:epoch-002.weights.h5", arguments)
    assert [row["epoch"] for row in history(run)] == [1, 2]
    assert [file.name for file in run.glob("epoch-*")] == ["epoch-001.weights.h5"]
    assert not (run / "mobilenetv2.keras").exists()
    return run, training(*arguments)


def test_a_fit_that_was_killed_goes_on_where_it_was(resumed: tuple[Path, Result]) -> None:
    run, second = resumed
    assert second.exit_code == 0, second.output
    assert "going on after epoch 1/3" in second.stdout
    assert "epoch 1/3:" not in second.stdout
    assert "epoch 2/3: loss" in second.stdout
    assert [row["epoch"] for row in history(run)] == [1, 2, 3]
    assert (run / "mobilenetv2.keras").is_file()
    assert (run / "epoch-003.weights.h5").is_file()
    assert not list(run.glob("unfinished-*"))


def test_a_fit_leaves_pictures_of_how_it_went(resumed: tuple[Path, Result]) -> None:
    for name, width in (("curves.png", 1000), ("confusion.png", 600)):
        picture = cv2.imread(str(resumed[0] / name))
        assert picture.shape[1] > width
        assert np.ptp(picture) > 200


def test_pictures_that_are_in_validation_are_not_trained_on(resumed: tuple[Path, Result]) -> None:
    assert "56 pictures (left out 1 also in validation)" in resumed[1].stdout


def test_a_finished_fit_is_left_as_it_is(resumed: tuple[Path, Result], data: Path) -> None:
    before = {file.name: file.stat().st_mtime_ns for file in resumed[0].iterdir() if file.is_file()}
    again = training(*fit_arguments(data, resumed[0], "--standardization", "featurewise"))
    assert again.exit_code == 0
    assert "epoch" not in again.stdout
    assert {file.name: file.stat().st_mtime_ns for file in resumed[0].iterdir() if file.is_file()} == before


def test_the_same_run_by_another_recipe_is_refused(resumed: tuple[Path, Result], data: Path) -> None:
    line = one_line(training(*fit_arguments(data, resumed[0], "--seed", "2")))
    assert line == f"training fit: {resumed[0]} holds a fit by another recipe; name another --out, or remove it"


# Nothing is learned at this rate, so that accuracy stays where it is after the first epoch or soon after.
ON_A_PLATEAU = [
    *("--schedule", "plateau", "--optimizer", "sgd", "--learning-rate", "0.01", "--patience", "3", "--ema", "0.5"),
    *("--colour", "rgb", "--augmentation", "study"),
]
MANY_EPOCHS = 12


def plateau_arguments(data: Path, run: Path) -> list[str]:
    arguments = fit_arguments(data, run, *ON_A_PLATEAU)
    arguments[arguments.index("--epochs") + 1] = str(MANY_EPOCHS)
    return arguments


@pytest.fixture(scope="module")
def plateau(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fit that came to its early end without being disturbed."""
    run = tmp_path_factory.mktemp("plateau") / "run"
    result = training(*plateau_arguments(data, run))
    assert result.exit_code == 0, result.output
    return run


def test_a_fit_that_no_longer_improves_slows_down_and_stops(plateau: Path) -> None:
    rows = history(plateau)
    accuracies = [row["val_accuracy"] for row in rows]
    best = accuracies.index(max(accuracies))
    assert len(rows) == best + 1 + 3 < MANY_EPOCHS
    rates = [row["learning_rate"] for row in rows]
    assert rates == sorted(rates, reverse=True)
    # A tenth after every epoch without improvement, but not below the minimum.
    assert rates[best + 1 :] == pytest.approx([rates[best], max(rates[best] / 10, 1e-4), 1e-4], rel=1e-4)
    assert {file.name for file in plateau.glob("epoch-*")} == {
        f"epoch-{number:03d}.weights.h5" for number in (best + 1, len(rows))
    }


def test_what_slows_it_down_and_stops_it_is_not_forgotten_in_a_kill(plateau: Path, data: Path, tmp_path: Path) -> None:
    """Killed in the middle of its last epoch, then the disk is full, and it still comes to the same."""
    run, arguments = tmp_path / "run", plateau_arguments(data, tmp_path / "run")
    last = len(history(plateau))
    killed(f"epoch:{last}", arguments)
    assert len(history(run)) == last - 1

    (run / "unfinished-history.csv").symlink_to("/dev/full")
    line = one_line(training(*arguments))
    assert line.startswith(f"training fit: {run}: no space left to write history.csv; make some and run the same")
    assert len(history(run)) == last - 1

    finished = training(*arguments)
    assert finished.exit_code == 0, finished.output
    assert f"going on after epoch {last - 1}/{MANY_EPOCHS}" in finished.stdout
    assert (run / "history.csv").read_bytes() == (plateau / "history.csv").read_bytes()
    assert fitted_weights(run) == fitted_weights(plateau)
    assert {file.name for file in run.iterdir()} == {file.name for file in plateau.iterdir()}


def test_what_is_kept_is_what_was_measured(plateau: Path, data: Path) -> None:
    """The average of the weights at the best epoch, by a plain network on standardized pixels."""
    from training.fitted import read_faces

    faces = load_faces([read_dataset(data / "validation")], 32, "rgb")
    probabilities = read_faces(plateau, faces).astype(np.float64)
    best = max(history(plateau), key=lambda row: row["val_accuracy"])
    smooth = 0.9 * np.eye(7)[faces.labels] + 0.1 / 7
    assert -(smooth * np.log(probabilities)).sum(axis=1).mean() == pytest.approx(best["val_loss"], abs=1e-4)
    assert (probabilities.argmax(axis=1) == faces.labels).mean() == pytest.approx(best["val_accuracy"], abs=1e-6)


def test_a_taught_network_learns_mostly_what_its_teachers_say(plateau: Path, data: Path) -> None:
    from training.fit import Pictures
    from training.fitted import read_faces
    from training.teaching import TAUGHT

    faces = load_faces([read_dataset(data / "train")], 32, "rgb")
    recipe = Recipe("mobilenetv2", size=32, colour="rgb", batch=len(faces.labels), teachers=[str(plateau)] * 2)
    pixels, targets, _ = Pictures(faces, recipe)[0]
    said = read_faces(plateau, faces)
    order = [int(np.flatnonzero((faces.pixels == picture).all(axis=(1, 2, 3)))[0]) for picture in pixels]
    assert targets == pytest.approx((TAUGHT * said + (1 - TAUGHT) * np.eye(7)[faces.labels])[order], abs=1e-5)


@pytest.mark.parametrize(("colour", "complaint"), [("grey", "looks at rgb pictures"), ("rgb", "holds no network")])
def test_a_teacher_that_cannot_teach_is_named(
    plateau: Path, data: Path, tmp_path: Path, colour: str, complaint: str
) -> None:
    teacher = tmp_path / "teacher"
    shutil.copytree(plateau, teacher)
    if colour == "rgb":
        (teacher / "mobilenetv2.keras").unlink()
    out = fit_arguments(data, tmp_path / "out", "--colour", colour, "--teacher", str(teacher))
    line = one_line(training(*out))
    assert line.startswith(f"training fit: --teacher {teacher}: {complaint}")


def soft_targets(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def four_faces() -> Faces:
    """Pictures of one pixel each, whose value is their number."""
    labels = np.array([0, 1, 2, 6])
    votes, weights = np.eye(7, dtype=np.float32)[labels], np.ones(4, np.float32)
    return Faces(np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1), labels, [], votes, weights, ["a", "b", "c", None])


def test_soft_targets_are_learned_by_the_origin_of_a_picture(tmp_path: Path) -> None:
    from training.fit import Pictures
    from training.teaching import TAUGHT

    one, other = np.full((2, 7), 1 / 7), np.eye(7)[[3, 4]]
    file = soft_targets(tmp_path / "soft.npz", origin=["b", "a"], one=one, other=other, validation=[True, False])
    pixels, targets, _ = Pictures(four_faces(), Recipe("mobilenetv2", batch=4, targets=str(file)))[0]
    of = dict(zip(pixels[:, 0, 0, 0].tolist(), targets, strict=True))
    assert of[0] == pytest.approx((1 - TAUGHT) * np.eye(7)[0] + TAUGHT * (one[1] + other[1]) / 2)
    assert of[1] == pytest.approx((1 - TAUGHT) * np.eye(7)[1] + TAUGHT * (one[0] + other[0]) / 2)
    assert of[2] == pytest.approx(np.eye(7)[2]), "a picture without soft target keeps its label"
    assert of[3] == pytest.approx(np.eye(7)[6]), "a picture without origin keeps its label"


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"origin": ["a"]}, "needs `origin` [n] and at least one array [n, 7]"),
        ({"teacher": np.full((1, 7), 1 / 7)}, "needs `origin` [n] and at least one array [n, 7]"),
        ({"origin": ["a"], "teacher": np.full((1, 7), 0.2)}, "the rows of `teacher` are not probabilities that sum"),
        ({"origin": ["z"], "teacher": np.eye(7)[:1]}, "knows none of the 4 training pictures; train on the prepared"),
        (None, "cannot be read ("),
    ],
)
def test_soft_targets_that_cannot_be_used_are_named(
    tmp_path: Path, arrays: dict[str, object] | None, complaint: str
) -> None:
    from training.teaching import taught

    file = tmp_path / "soft.npz"
    file.write_text("no archive") if arrays is None else soft_targets(file, **arrays)
    with pytest.raises(RunError) as refused:
        taught(Recipe("mobilenetv2", targets=str(file)), np.eye(7, dtype=np.float32)[:4], four_faces())
    assert str(refused.value).startswith(f"--targets {file}: {complaint}")


def test_a_prepared_set_is_fitted_with_soft_targets_and_mixup(data: Path, tmp_path: Path) -> None:
    prepared = training("prepare", data / "train", "--out", tmp_path / "set", "--validation-share", "0.2")
    assert prepared.exit_code == 0, prepared.output
    with (tmp_path / "set" / "train" / "index.csv").open(newline="") as file:
        origins = [row["origin"] for row in csv.DictReader(file)]
    soft = soft_targets(tmp_path / "soft.npz", origin=origins, teacher=np.full((len(origins), 7), 1 / 7))
    arguments = fit_arguments(
        data, tmp_path / "run", "--targets", str(soft), "--mixup", "0.2", "--label-smoothing", "0"
    )
    arguments[1] = str(tmp_path / "set" / "train")
    fitted = training(*arguments)
    assert fitted.exit_code == 0, fitted.output
    recipe = read_recipe(tmp_path / "run")
    assert (recipe.targets, recipe.mixup, recipe.label_smoothing) == (str(soft), 0.2, 0.0)


def test_mixup_mixes_pixels_targets_and_weights_in_the_same_shares() -> None:
    from training.fit import Pictures

    labels = np.arange(64) % 7
    votes, weights = np.eye(7, dtype=np.float32)[labels], np.linspace(1, 2, 64, dtype=np.float32)
    pixels = np.zeros((64, 1, 1, 7), np.uint8)
    pixels[np.arange(64), 0, 0, labels] = 200
    pictures = Pictures(Faces(pixels, labels, [], votes, weights), Recipe("mobilenetv2", batch=64, mixup=0.4))
    mixed, targets, mixed_weights = pictures[0]
    assert mixed.dtype == np.uint8
    assert mixed[:, 0, 0, :] / 200 == pytest.approx(targets, abs=1 / 200)
    assert targets.sum(axis=1) == pytest.approx(1)
    assert (np.count_nonzero(targets, axis=1) == 2).sum() > 32
    assert ((mixed_weights >= 1) & (mixed_weights <= 2)).all()
    assert all(np.array_equal(a, b) for a, b in zip(pictures[0], (mixed, targets, mixed_weights), strict=True))
    pictures.shuffle(1)
    assert not np.array_equal(pictures[0][1], targets)


def test_a_finished_fit_is_extended_by_more_epochs(resumed: tuple[Path, Result], data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(resumed[0], run)
    options = ("--standardization", "featurewise", "--extend", "--epochs")
    longer = training(*fit_arguments(data, run, *options, "5"))
    assert longer.exit_code == 0, longer.output
    assert "going on after epoch 3/5" in longer.stdout
    assert [row["epoch"] for row in history(run)] == [1, 2, 3, 4, 5]
    assert history(run)[:3] == history(resumed[0])
    assert history(run)[3]["learning_rate"] > history(run)[2]["learning_rate"], "the cosine is longer now"
    assert read_recipe(run).epochs == 5
    assert (run / "epoch-005.weights.h5").is_file()
    assert (run / "mobilenetv2.keras").is_file()

    again = training(*fit_arguments(data, run, *options, "5"))
    assert "epoch" not in again.stdout, "the same command does not extend twice"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--epochs", "4", "--seed", "2"), "holds a fit by another recipe; --extend changes nothing but --epochs"),
        (("--epochs", "2"), "has 3 epochs; --extend with at least as many --epochs"),
    ],
)
def test_a_fit_is_extended_in_epochs_alone(
    options: tuple[str, ...], complaint: str, resumed: tuple[Path, Result], data: Path
) -> None:
    arguments = fit_arguments(data, resumed[0], "--standardization", "featurewise", "--extend", *options)
    assert one_line(training(*arguments)) == f"training fit: {resumed[0]} {complaint}"
    assert (resumed[0] / "mobilenetv2.keras").is_file()


def test_an_epoch_that_cannot_be_read_is_named(plateau: Path, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(plateau, run)
    (run / "mobilenetv2.keras").unlink()
    last = max(run.glob("epoch-*"))
    last.write_bytes(last.read_bytes()[:5000])
    line = one_line(training(*plateau_arguments(data, run)))
    assert line.startswith(f"training fit: {last}: cannot be read (")


def test_a_history_that_is_gone_is_named(plateau: Path, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(plateau, run)
    (run / "mobilenetv2.keras").unlink()
    (run / "history.csv").write_text("epoch,loss\n1.0,a lot\n")
    line = one_line(training(*plateau_arguments(data, run)))
    assert line.startswith(f"training fit: {run / 'history.csv'}: ")
    assert line.endswith(f"remove {run} and fit anew")


def test_an_earlier_fit_is_gone_on_from_with_its_base_frozen_in_halves(
    plateau: Path, data: Path, tmp_path: Path
) -> None:
    import keras

    run = tmp_path / "run"
    more = ["--weights", str(plateau), "--tune", "head", "--precision", "mixed_bfloat16", "--colour", "rgb"]
    result = training(*fit_arguments(data, run, *more, "--learning-rate", "0.1"))
    assert result.exit_code == 0, result.output
    before, after = (keras.models.load_model(folder / "mobilenetv2.keras") for folder in (plateau, run))
    for old, new in zip(before.layers, after.layers, strict=True):
        same = all(np.array_equal(*pair) for pair in zip(old.get_weights(), new.get_weights(), strict=True))
        assert same == (new.name != "logits"), new.name
        assert new.trainable
        assert new.dtype_policy.name == "float32"


def test_votes_and_weights_decide_what_is_learned(tmp_path: Path) -> None:
    from training.fit import Pictures

    pixels = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
    votes = np.full((4, 7), 1 / 7, np.float32)
    faces = Faces(pixels, np.array([0, 1, 2, 6]), [], votes, np.array([1, 2, 3, 4], np.float32))
    pictures = Pictures(faces, Recipe("mobilenetv2", batch=3, vote_share=0.25))
    batches = [pictures[i] for i in range(len(pictures))]
    assert [len(given) for given, _, _ in batches] == [3, 1]
    given, targets, weights = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    at = given[:, 0, 0, 0]
    assert sorted(at) == [0, 1, 2, 3]
    assert np.allclose(targets, (0.75 * np.eye(7)[faces.labels] + 0.25 / 7)[at])
    assert np.array_equal(weights, faces.weights[at])


def test_pictures_come_in_another_order_in_every_epoch_and_in_the_same_again(tmp_path: Path) -> None:
    from training.fit import Pictures

    labels = np.arange(64) % 7
    faces = Faces(np.zeros((64, 1, 1, 1), np.uint8), labels, [], np.eye(7, dtype=np.float32)[labels], np.arange(64.0))

    def order(epoch: int) -> list[float]:
        pictures = Pictures(faces, Recipe("mobilenetv2", batch=64))
        pictures.shuffle(epoch)
        return list(pictures[0][2])

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert sorted(order(1)) == sorted(order(2))


def test_weights_that_do_not_fit_are_refused_and_leave_no_run_behind(data: Path, tmp_path: Path) -> None:
    weights, run = tmp_path / "other.npz", tmp_path / "run"
    np.savez(weights, **{"elsewhere/kernel": np.zeros((3, 3, 3, 8)), "elsewhere/bias": np.zeros(8)})
    assert "no layer of mobilenetv2 in it" in one_line(training(*fit_arguments(data, run, "--weights", str(weights))))
    assert not run.exists()


def test_imagenet_without_a_network_says_what_to_pass_instead(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training import networks

    def no_network(**_: object) -> None:
        raise Exception("URL fetch failure on https://storage.googleapis.com: None -- no route to host")

    monkeypatch.setitem(networks.APPLICATIONS, "mobilenetv2", no_network)
    line = one_line(training(*fit_arguments(data, tmp_path / "run", "--weights", "imagenet")))
    assert line.startswith("training fit: --weights imagenet: no download (URL fetch failure on")
    assert line.endswith("pass a .npz or .keras file, or none")


@pytest.mark.parametrize(
    "failure",
    [
        OSError(28, "Can't write data (file write failed: errno = 28, error message = 'No space left on device')"),
        RuntimeError("Disable slist on flush dest failure failed (errno = 28, 'No space left on device')"),
    ],
)
def test_a_disk_that_is_full_when_hdf5_writes_is_one_line_too(tmp_path: Path, failure: Exception) -> None:
    """As h5py 3 tells it on a full tmpfs: while writing, or only on closing the file."""

    def write_half(path: Path) -> None:
        path.write_bytes(b"half")
        raise failure

    with pytest.raises(RunError, match=f"{tmp_path}: no space left to write epoch-001.weights.h5; make some"):
        write_whole(tmp_path / "epoch-001.weights.h5", write_half)
    assert list(tmp_path.iterdir()) == []


def test_an_out_that_is_no_folder_is_refused_in_one_line(data: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    line = one_line(training(*fit_arguments(data, tmp_path / "run")))
    assert line == f"training fit: {tmp_path / 'run'}: File exists; name another --out"


def test_a_loss_that_is_no_number_says_so(data: Path, tmp_path: Path) -> None:
    more = ["--learning-rate", "1e30", "--optimizer", "sgd", "--schedule", "plateau"]
    line = one_line(training(*fit_arguments(data, tmp_path / "run", *more)))
    assert "the loss is nan in epoch 1" in line
    assert "--learning-rate below 1e+30" in line


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--size", "31", "--size 31: mobilenetv2 takes pictures of at least 32 pixels"),
        ("--tune", "500", "--tune 500: mobilenetv2 has 16 layers before its head"),
        ("--tune", "last", "--tune last: say all, head, or a number of layers"),
        ("--weights", "nowhere.npz", "--weights nowhere.npz: no such file; name one, or say imagenet or none"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    data: Path, tmp_path: Path, option: str, value: str, said: str
) -> None:
    assert said in one_line(training(*fit_arguments(data, tmp_path / "run", option, value)))
    assert not (tmp_path / "run").exists()


def test_inceptionv3_is_not_built_for_smaller_pictures_than_it_takes(data: Path, tmp_path: Path) -> None:
    arguments = fit_arguments(data, tmp_path / "run", "--model", "inceptionv3", "--size", "74")
    assert "--size 74: inceptionv3 takes pictures of at least 75 pixels" in one_line(training(*arguments))


def test_a_recipe_from_before_the_new_settings_reads_as_what_it_meant(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text('{"model": "mobilenetv2", "size": 64, "weight_decay": 0.01, "train": ["a"]}')
    recipe = read_recipe(tmp_path)
    assert recipe == Recipe("mobilenetv2", size=64, weight_decay=0.01, train=["a"])
    assert (recipe.optimizer, recipe.schedule, recipe.monitor) == ("adamw", "cosine", "val_accuracy")
    assert read_standardization(tmp_path) == Standardization(127.5, 127.5)


@settings(deadline=None)
@given(st.lists(st.floats(0, 3), min_size=1, max_size=20), st.sampled_from(["val_loss", "val_accuracy"]))
def test_the_best_epoch_is_the_first_of_the_best(values: list[float], monitor: str) -> None:
    from training.progress import best_epoch

    best = best_epoch([{"epoch": i + 1.0, monitor: value} for i, value in enumerate(values)], monitor)
    assert values[best - 1] == (min if monitor == "val_loss" else max)(values)
    assert values[best - 1] not in values[: best - 1]


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


def pixel_statistics(data: Path) -> tuple[float, float]:
    """Mean and deviation of what was trained on."""
    validation = load_faces([read_dataset(data / "validation")], 32, "grey")
    train = load_faces([read_dataset(data / "train")], 32, "grey", without=frozenset(validation.digests))
    return float(train.pixels.mean()), float(train.pixels.std())


def test_quantize_installs_an_int8_file_with_its_manifest(installed: Path, data: Path) -> None:
    manifest = load_manifest(installed)
    (model,) = manifest.models
    assert (model.name, model.file, model.quantization) == ("mobilenetv2", "mobilenetv2.int8.tflite", "int8")
    assert (model.input.size, model.input.colour, model.weight) == (32, "grey", 1.0)
    assert 20 < model.input.mean < 235
    assert (model.input.mean, model.input.std) == pytest.approx(pixel_statistics(data))
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
