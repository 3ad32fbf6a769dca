import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.data import astronaut
from typer.testing import CliRunner, Result

from tests.training.drawn_faces import write_faces
from tests.worker.linear_network import SIDE, linear_weights, write_linear_models
from training.cli import app
from worker.contract.messages import EMOTIONS
from worker.preprocessing import network_pixels

FIGURES = {"accuracy", "macro_recall", "recall", "ece", "nll", "confusion"}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    write_linear_models(folder, {"first": 1, "second": 2}, temperature=1.5)
    return folder


def evaluate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def test_figures_are_those_of_the_networks_worked_out_by_hand(tmp_path: Path, models: Path) -> None:
    data = write_faces(tmp_path / "data", each=3, first_seed=1)
    kernel, bias = linear_weights(1)
    counts = np.zeros((7, 7), int)
    for label, emotion in enumerate(EMOTIONS):
        for file in (data / emotion).iterdir():
            image = cv2.imread(str(file))
            assert image is not None
            pixels = (network_pixels(image.astype(np.uint8), SIDE, "grey") - 127.5) / 127.5
            counts[label, (kernel @ pixels.ravel() + bias).argmax()] += 1

    result = json.loads(evaluate(data, "--models", models, "--json").stdout)

    assert (result["dataset"], result["n"], result["skipped"]) == (str(data), 21, 0)
    assert set(result["models"]) == {"first", "second"}
    assert set(result["ensemble"]) == set(result["models"]["first"]) == FIGURES
    assert list(result["ensemble"]["recall"]) == list(EMOTIONS)
    assert result["models"]["first"]["confusion"] == counts.tolist()
    assert result["models"]["first"]["accuracy"] == pytest.approx(np.trace(counts) / 21)


def test_every_dataset_has_its_line_and_says_what_was_left_out(tmp_path: Path, models: Path) -> None:
    first = write_faces(tmp_path / "first", each=1, first_seed=1)
    second = write_faces(tmp_path / "second", each=2, first_seed=2)
    shutil.copytree(second / "anger", second / "contempt")
    (second / "anger" / "broken.png").write_text("not a picture")

    lines = [json.loads(line) for line in evaluate(first, second, "--models", models, "--json").stdout.splitlines()]

    assert [(line["n"], line["skipped"]) for line in lines] == [(7, 0), (14, 3)]
    assert lines[1]["skipped_reasons"] == {"contempt": 2, "unreadable": 1}


def test_without_json_there_is_a_table(tmp_path: Path, models: Path) -> None:
    data = write_faces(tmp_path / "data", each=1, first_seed=1)
    shown = evaluate(data, "--models", models).stdout
    assert all(word in shown for word in ("first", "second", "ensemble", "accuracy", "ECE", "disgust", "7 pictures"))


def test_crop_finds_the_face_first_and_counts_pictures_without_one(tmp_path: Path, models: Path) -> None:
    folder = tmp_path / "data" / "happy"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "astronaut.png"), cv2.cvtColor(astronaut(), cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(folder / "wall.png"), np.full((300, 300, 3), 127, np.uint8))

    result = json.loads(evaluate(folder.parent, "--models", models, "--crop", "--json").stdout)

    assert (result["n"], result["skipped_reasons"]) == (1, {"no face": 1})


def test_bad_input_is_one_line_on_standard_error_and_exit_code_2(tmp_path: Path, models: Path) -> None:
    data = write_faces(tmp_path / "data", each=1, first_seed=1)
    unreadable = tmp_path / "unreadable"
    (unreadable / "happy").mkdir(parents=True)
    (unreadable / "happy" / "a.png").write_text("not a picture")
    for arguments, complaint in [
        ((tmp_path / "nowhere", "--models", models), "no such folder"),
        ((models, "--models", models), "no labelled picture found"),
        ((unreadable, "--models", models), "1 unreadable"),
        ((data, "--models", data), "manifest.json"),
    ]:
        result = evaluate(*arguments)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert complaint in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_evaluating_loads_no_tensorflow(tmp_path: Path, models: Path) -> None:
    data = write_faces(tmp_path / "data", each=1, first_seed=1)
    program = (
        "import sys\nfrom training.cli import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "assert not {'tensorflow', 'keras', 'mediapipe'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", program, "evaluate", str(data), "--models", str(models), "--json"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["n"] == 7


def test_without_keras_training_says_how_to_install_it(tmp_path: Path) -> None:
    train = write_faces(tmp_path / "train", each=1, first_seed=1)
    validation = write_faces(tmp_path / "validation", each=1, first_seed=50)
    program = "import sys; sys.modules['keras'] = None\nfrom training.cli import app; app()"
    arguments = ["fit", train, "--validation", validation, "--model", "mobilenetv2", "--out", tmp_path / "run"]
    run = subprocess.run([sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr == "training fit: keras is not installed; run: pip install 'lecturepulse[training]'\n"
