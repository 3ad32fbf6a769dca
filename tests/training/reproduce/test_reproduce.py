"""Whole trainings on drawn faces with a tiny network: one of the study's, and that of the shipped models."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import Result

from tests.training.command_line import refusal, training
from tests.training.drawn_faces import draw_face, write_faces
from training.datasets import Dataset, DatasetError, LabelledPicture, read_dataset
from training.datasets.index import Entry, write_index
from training.recipe import Recipe
from training.reproduce import phase, shipped, study
from training.reproduce.shipped import RECIPES
from training.reproduce.steps import drawn, epochs_left, find_sources, limited
from training.run import read_recipe
from worker.contract.messages import EMOTIONS

pytest.importorskip("tensorflow")

# TensorFlow alone takes 5 s of a free core to import, many more of a busy one.
pytestmark = pytest.mark.timeout(900)

TUNED = 6  # layers of the network of a few
PEOPLE = ("F01", "F02", "M03", "M04", "M05")


def write_kdef(folder: Path) -> Path:
    """A prepared set of drawn persons, each emotion once from the front and once from the left."""
    entries = []
    for i, (person, emotion, angle) in enumerate((p, e, a) for p in PEOPLE for e in EMOTIONS for a in ("S", "HL")):
        code = {"anger": "AN", "disgust": "DI", "fear": "AF", "happiness": "HA", "sadness": "SA", "surprise": "SU"}
        name = f"A{person}{code.get(emotion, 'NE')}{angle}"
        (folder / emotion).mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / emotion / f"{name}.png"), draw_face(emotion, 50_000 + i))
        entries.append(Entry(f"{emotion}/{name}.png", emotion, f"kdef:{person}", "kdef", f"kdef/{name}.JPG"))
    write_index(folder, entries)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("public")
    write_kdef(folder / "KDEF")
    write_faces(folder / "fer2013" / "public_test", each=6, first_seed=9001)
    (folder / "weights").mkdir()
    stem = {"stem/kernel": np.full((3, 3, 3, 8), 0.1), "stem/bias": np.zeros(8)}
    np.savez(folder / "weights" / "a_mobilenetv1.npz", other=np.zeros(1))
    np.savez(folder / "weights" / "faces_mobilenetv1_folded.npz", **stem)
    return folder


@pytest.fixture(scope="module", autouse=True)
def tiny_network() -> Iterator[None]:
    """The tiny network alone; nothing is downloaded."""
    from tests.training.tiny_network import tiny_fits
    from training.networks import architectures

    def no_connection(**_: object) -> None:
        raise Exception("URL fetch failure")

    with tiny_fits(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(architectures.APPLICATIONS, "mobilenetv2", no_connection)
        patch.setattr(phase, "MODELS", ("mobilenetv2",))
        yield


def reproduce(data: Path, run: Path, *more: str) -> Result:
    return training("reproduce", "--data", data, "--out", run, "--epochs", "1", *more)


@pytest.fixture(scope="module")
def second_phase(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    run = tmp_path_factory.mktemp("phase") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(study.TUNED, "mobilenetv2", TUNED)
        result = reproduce(data, run, "--phase", "2")
    assert result.exit_code == 0, result.output
    return run, result


def test_a_phase_ends_with_our_results_beside_the_studys(second_phase: tuple[Path, Result]) -> None:
    run, result = second_phase
    table = (run / "table.md").read_text()
    assert table in result.stdout
    (line,) = [line for line in table.splitlines() if line.startswith("| mobilenetv2 |")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:4] == ["75.00%", "1.26", "6.4, table 1"]
    as_json = json.loads((run / "table.json").read_text())
    (row,) = as_json["rows"]
    assert cells[4] == f"{row['test']['accuracy']:.2%}"
    assert cells[7] == f"{row['validation']['accuracy']:.2%}"
    assert row["epochs"] == 2
    assert study.NOTE in table
    assert as_json["note"] == study.NOTE
    assert {"date", "commit", "host", "versions", "backend"} <= set(as_json["provenance"])
    assert {"keras", "numpy", "python"} <= set(as_json["provenance"]["versions"])


def test_the_table_names_the_differences(second_phase: tuple[Path, Result]) -> None:
    table = (second_phase[0] / "table.md").read_text()
    assert "AffectNet is not there" in table
    assert "mobilenetv2 starts without ImageNet weights" in table
    assert "At most 1 epochs per fit, instead of 100 of training and 25 of fine-tuning" in table
    assert "KDEF is not there" not in table
    assert "rehearses" not in table


def test_no_person_is_in_two_splits_and_validation_is_frontal(second_phase: tuple[Path, Result]) -> None:
    run, _ = second_phase
    train, validation = (read_dataset(run / "set" / split) for split in ("train", "validation"))
    people = [{picture.person for picture in dataset.pictures} for dataset in (train, validation)]
    assert people[0] | people[1] == {f"kdef:{person}" for person in PEOPLE}
    assert not people[0] & people[1]
    frontal = [p for p in validation.pictures if re.search("-A[FM][0-9]{2}[A-Z]{2}S-", p.path.name)]
    assert 0 < len(frontal) < len(validation.pictures)
    assert json.loads((run / "table.json").read_text())["pictures"] == {
        "train": len(train.pictures),
        "validation": len(frontal),
        "test": len(drawn(read_dataset(run / "set" / "test"), 0.5).pictures),
    }


def test_a_phase_trains_with_the_studys_settings_and_fine_tunes(second_phase: tuple[Path, Result]) -> None:
    first, tuned = (read_recipe(second_phase[0] / "mobilenetv2" / name) for name in ("first", "tuned"))
    assert (first.optimizer, first.learning_rate, first.batch, first.colour) == ("sgd", 0.005, 32, "grey")
    assert (first.augmentation, first.standardization, first.schedule) == ("study", "featurewise", "plateau")
    assert (tuned.learning_rate, tuned.tune) == (1e-5, TUNED)
    assert tuned.weights == str(second_phase[0] / "mobilenetv2" / "first")


def test_the_same_call_again_fits_nothing(
    second_phase: tuple[Path, Result], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.fitting import fit

    def not_again(*_: object) -> None:
        raise AssertionError("fitted again")

    before = json.loads((second_phase[0] / "table.json").read_text())
    monkeypatch.setattr(fit, "fit", not_again)
    monkeypatch.setitem(study.TUNED, "mobilenetv2", TUNED)
    result = reproduce(data, second_phase[0], "--phase", "2")
    assert result.exit_code == 0, result.output
    after = json.loads((second_phase[0] / "table.json").read_text())
    assert after["rows"] == before["rows"]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, ("adam", 1e-4, "rgb", 32, 100, "mediapipe")),
        (2, ("sgd", 0.005, "grey", 32, 100, "mediapipe")),
        (3, ("sgd", 0.005, "grey", 128, 100, "haar")),
    ],
)
def test_the_three_phases_have_the_studys_settings(number: int, expected: tuple[Any, ...]) -> None:
    of = study.PHASES[number]
    assert (of.optimizer, of.learning_rate, of.colour, of.batch, of.epochs, of.detector) == expected
    for model in study.MODELS:
        assert study.first_recipe(of, model, "imagenet").tune == "head"
        assert study.first_recipe(of, model, None).tune == "all"
        assert study.fine_tuning_recipe(of, model, "first").tune == (56 if model == "mobilenetv2" else "all")
        assert study.fine_tuning_recipe(of, model, "first").epochs == 25
    assert (of.patience is not None) == (number == 1)


def test_sets_are_found_by_the_names_of_their_folders(tmp_path: Path) -> None:
    for name in ("CK+48", "FER-2013", "kdef", "kdef_old", "weights"):
        (tmp_path / name).mkdir()
    found = find_sources(tmp_path, ("affectnet", "fer2013", "kdef", "ckplus"))
    assert [(name, path.name) for name, path in found.items()] == [
        ("fer2013", "FER-2013"),
        ("kdef", "kdef"),
        ("ckplus", "CK+48"),
    ]


def test_a_folder_with_none_of_the_sets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holidays").mkdir()
    with pytest.raises(DatasetError, match="holds none of the sets affectnet, kdef; unpack them"):
        find_sources(tmp_path, ("affectnet", "kdef"))
    for folder, said in ((tmp_path, "holds none of the sets"), (tmp_path / "nowhere", "no such folder")):
        line = refusal("reproduce", "--data", folder, "--out", tmp_path / "run", "--phase", "1")
        assert line.startswith(f"{folder}: {said}")


@pytest.mark.parametrize("choice", [[], ["--phase", "1", "--recipe", "shipped"]])
def test_none_and_two_trainings_at_a_time_are_refused(tmp_path: Path, choice: list[str]) -> None:
    line = refusal("reproduce", "--data", tmp_path, "--out", tmp_path / "run", *choice)
    assert line == "one training at a time; say either --phase 1, 2 or 3, or --recipe shipped"


def test_a_folder_for_the_shipped_models_is_refused_with_a_training_of_the_study(tmp_path: Path) -> None:
    words = ("--data", tmp_path, "--out", tmp_path / "run", "--phase", "1", "--models", tmp_path)
    assert refusal("reproduce", *words) == f"--models {tmp_path} is for --recipe shipped; leave it out"


def test_a_share_is_drawn_from_every_emotion_and_does_not_depend_on_the_order() -> None:
    pictures = [LabelledPicture(Path(f"{i}.png"), label) for i, label in enumerate([0] * 100 + [1] * 11 + [6])]
    half = drawn(Dataset("d", pictures), 0.5)
    assert [[p.label for p in half.pictures].count(label) for label in (0, 1, 6)] == [50, 6, 1]
    assert drawn(Dataset("d", pictures[::-1]), 0.5).pictures == half.pictures
    assert half.name == "d (57 of 112)"
    assert len(limited(Dataset("d", pictures), 14).pictures) in range(14, 18)
    assert limited(Dataset("d", pictures), 1000).pictures == pictures


ONE_RECIPE = (Recipe("mobilenetv2", size=32, epochs=2, batch=28),)
TEACHING = Recipe("mobilenetv1", size=48, colour="rgb", epochs=3, batch=28)


@pytest.fixture(scope="module")
def fitted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The training of the shipped models where TensorFlow does not seem to be installed."""
    run = tmp_path_factory.mktemp("shipped") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "RECIPES", ONE_RECIPE)
        patch.setattr(shipped, "TEACHING", TEACHING)
        patch.setattr(shipped, "find_spec", lambda _: None)
        return run, reproduce(data, run, "--recipe", "shipped", "--limit", "28")


def test_without_tensorflow_the_networks_are_fitted_and_the_other_commands_are_reported(
    fitted: tuple[Path, Result],
) -> None:
    run, result = fitted
    assert result.exit_code == 0, result.output
    assert (run / "mobilenetv2" / "mobilenetv2.keras").is_file()
    recipe = read_recipe(run / "mobilenetv2")
    assert recipe.epochs == 1
    assert recipe.train[0].startswith(f"{run}/set/train (3"), "about 28 pictures, the same share of each emotion"
    assert recipe.teacher == str(run / "mobilenetv1")
    quantize, ensemble = result.stdout.splitlines()[-2:]
    assert quantize.strip().startswith(f"training quantize {run}/mobilenetv2 {run}/set/train --validation")
    assert ensemble.strip().endswith(f"--models {run}/models")


def test_the_hours_of_the_fits_are_reported_before_they_begin_and_not_for_finished_ones(
    data: Path, fitted: tuple[Path, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, result = fitted
    lines = result.stdout.splitlines()
    (each,) = [i for i, line in enumerate(lines) if re.fullmatch(r"mobilenetv2: 1 epochs of 3\d pictures, .* h", line)]
    assert re.fullmatch(r"mobilenetv1: 1 epochs of 3\d pictures, .* h", lines[each - 1])
    assert lines[each + 1].startswith("fitting takes about 0.0 hours on this machine")
    assert lines[each + 2].startswith("mobilenetv1: fitting, from ")
    assert f"mobilenetv2: fitting, without starting weights, learning from {run}/mobilenetv1" in lines
    monkeypatch.setattr(shipped, "RECIPES", ONE_RECIPE)
    monkeypatch.setattr(shipped, "TEACHING", TEACHING)
    monkeypatch.setattr(shipped, "find_spec", lambda _: None)
    again = reproduce(data, run, "--recipe", "shipped", "--limit", "28")
    assert "hours" not in again.stdout
    assert "epoch" not in again.stdout
    assert epochs_left(run / "mobilenetv2", ONE_RECIPE[0]) == 0
    assert epochs_left(run / "inceptionv3", RECIPES[2]) == RECIPES[2].epochs


def test_the_teacher_starts_from_the_face_network(fitted: tuple[Path, Result]) -> None:
    run, _ = fitted
    recipe = read_recipe(run / "mobilenetv1")
    assert Path(str(recipe.weights)).name == "faces_mobilenetv1_folded.npz"
    assert recipe.teacher is None


def test_kdef_weighs_more_whatever_the_case_of_its_folder(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights: dict[str | None, set[float]] = {}

    def fit_nothing(recipe: Recipe, train: Dataset, *_: object) -> None:
        for picture in train.pictures:
            weights.setdefault(picture.source, set()).add(picture.weight)

    monkeypatch.setattr(shipped, "RECIPES", ONE_RECIPE)
    monkeypatch.setattr(shipped, "find_spec", lambda _: None)
    monkeypatch.setattr("training.fitting.timing.seconds_per_picture", lambda *_: 0.0)
    monkeypatch.setattr(shipped, "fit_once", fit_nothing)
    done = reproduce(data, tmp_path / "run", "--recipe", "shipped", "--limit", "100")
    assert done.exit_code == 0, done.output
    assert weights == {"kdef": {3.0}}


def test_without_a_face_network_nobody_teaches(
    data: Path, fitted: tuple[Path, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "KDEF").symlink_to(data / "KDEF")
    monkeypatch.setattr(shipped, "RECIPES", ONE_RECIPE)
    monkeypatch.setattr(shipped, "find_spec", lambda _: None)
    alone = reproduce(tmp_path / "data", tmp_path / "run", "--recipe", "shipped", "--limit", "28")
    assert alone.exit_code == 0, alone.output
    assert "mobilenetv2: fitting, without starting weights" in alone.stdout.splitlines()
    assert read_recipe(tmp_path / "run" / "mobilenetv2").teacher is None


def test_shipped_models_are_quantized_and_weighed_once(
    data: Path, fitted: tuple[Path, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def run_command(command: list[str], **_: object) -> SimpleNamespace:
        commands.append(command[3:])
        return SimpleNamespace(returncode=1 if any("broken" in word for word in command) else 0)

    monkeypatch.setattr(shipped, "RECIPES", ONE_RECIPE)
    monkeypatch.setattr(shipped, "TEACHING", TEACHING)
    monkeypatch.setattr(shipped, "subprocess", SimpleNamespace(run=run_command))
    run, models = fitted[0], tmp_path / "models"

    def again(models: Path) -> Result:
        return reproduce(data, run, "--recipe", "shipped", "--limit", "28", "--models", str(models))

    first = again(models)
    assert first.exit_code == 0, first.output
    named = ["--validation", f"{run}/set/validation", "--models", str(models)]
    expected = [
        ["quantize", f"{run}/mobilenetv2", f"{run}/set/train", *named, "--form", "int8"],
        ["ensemble", f"{run}/set/validation", *named],
    ]
    assert commands == expected

    second = again(models)
    assert second.exit_code == 0, second.output
    assert second.stdout.count("already done") == 2
    assert commands == expected

    assert again(tmp_path / "broken").exit_code == 1
    assert len(commands) == 3


def test_the_reported_commands_can_be_run(data: Path) -> None:
    commands = shipped._conversions(data / "set", data / "run", data / "models")
    assert [command[0] for command in commands] == ["quantize", "quantize", "quantize", "ensemble"]
    for command in commands:
        # The folders do not exist: the arguments are understood, the data is not found.
        assert "no such" in refusal(*command)
