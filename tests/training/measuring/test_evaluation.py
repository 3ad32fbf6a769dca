import json
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from skimage.data import astronaut
from typer.testing import Result

from tests.training.command_line import refusal, training
from tests.training.drawn_faces import write_faces
from tests.worker.perception.linear_network import SIDE, linear_weights, write_linear_models
from training.datasets import Dataset, read_dataset
from training.measuring.crops import pictures_with_crops
from training.measuring.framing import AS_SERVED, FRAMINGS
from training.measuring.metrics import measure
from training.measuring.predictions import predict_dataset
from training.provenance import commit_of
from worker.contract.messages import EMOTIONS
from worker.perception.emotions import Ensemble
from worker.perception.manifest import Adaptive, load_manifest, write_manifest
from worker.perception.preprocessing import Box, Image, network_pixels

METRICS = {"accuracy", "macro_recall", "recall", "ece", "nll", "confusion"}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    write_linear_models(folder, {"first": 1, "second": 2}, temperature=1.5)
    return folder


def evaluate(*arguments: str | Path) -> Result:
    return training("evaluate", *arguments)


def test_the_metrics_are_those_of_the_networks_computed_by_hand(tmp_path: Path, models: Path) -> None:
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
    assert set(result["ensemble"]) == set(result["models"]["first"]) == METRICS
    assert list(result["ensemble"]["recall"]) == list(EMOTIONS)
    assert result["models"]["first"]["confusion"] == counts.tolist()
    assert result["models"]["first"]["accuracy"] == pytest.approx(np.trace(counts) / 21)


def test_every_dataset_has_a_line_with_the_pictures_left_out(tmp_path: Path, models: Path) -> None:
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


def test_with_crop_the_face_is_detected_and_pictures_without_one_are_counted(tmp_path: Path, models: Path) -> None:
    folder = tmp_path / "data" / "happy"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "astronaut.png"), cv2.cvtColor(astronaut(), cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(folder / "wall.png"), np.full((300, 300, 3), 127, np.uint8))

    result = json.loads(evaluate(folder.parent, "--models", models, "--crop", "--json").stdout)

    assert (result["n"], result["skipped_reasons"]) == (1, {"no face": 1})


def map_picture(folder: Path, side: int = 200) -> Dataset:
    """One picture whose pixels hold their place: blue is x, green is y."""
    (folder / "neutral").mkdir(parents=True)
    y, x = np.mgrid[:side, :side].astype(np.uint8)
    cv2.imwrite(str(folder / "neutral" / "map.png"), np.dstack([x, y, np.zeros_like(x)]))
    return read_dataset(folder)


def framed(dataset: Dataset, box: Box | None) -> dict[str, Image]:
    """The one picture of `dataset` in every framing."""
    framings = (AS_SERVED, *FRAMINGS)
    ((_, crops),) = pictures_with_crops(dataset, framings, detect=None if box is None else lambda _: box)
    return {framing.name: crop for framing, crop in zip(framings, crops, strict=True)}


@pytest.mark.parametrize("box", [None, (60.0, 80.0, 60.0, 60.0), (50.5, 70.2, 50.0, 66.0)])
def test_other_framings_are_wider_narrower_and_shifted_by_shares_of_the_crop(tmp_path: Path, box: Box | None) -> None:
    crops = framed(map_picture(tmp_path), box)
    served = crops["as served"]
    side = len(served)

    def middle(crop: Image) -> tuple[float, float]:
        return float(np.median(crop[..., 0])), float(np.median(crop[..., 1]))

    x, y = middle(served)
    for name, scale, right, down in [
        ("20 % wider", 1.2, 0, 0),
        ("20 % narrower", 0.8, 0, 0),
        ("10 % left", 1, -0.1, 0),
        ("10 % right", 1, 0.1, 0),
        ("10 % up", 1, 0, -0.1),
        ("10 % down", 1, 0, 0.1),
    ]:
        assert crops[name].shape[:2] == pytest.approx((scale * side, scale * side), abs=1)
        assert middle(crops[name]) == pytest.approx((x + right * side, y + down * side), abs=1)


def test_beyond_the_picture_a_framing_repeats_the_edge(tmp_path: Path) -> None:
    wider = framed(map_picture(tmp_path, side=100), None)["20 % wider"]
    assert wider.shape == (120, 120, 3)
    assert (wider[:, :10, 0] == 0).all()
    assert (wider[:, -10:, 0] == 99).all()
    assert (wider[10:110, 10:110, 1] == np.arange(100)[:, np.newaxis]).all()


def test_framing_measures_the_change_of_accuracy(tmp_path: Path, models: Path) -> None:
    data = write_faces(tmp_path / "data", each=6, first_seed=1)
    shifted = tmp_path / "shifted"
    for file in data.rglob("*.png"):
        image = cv2.imread(str(file))
        (shifted / file.parent.name).mkdir(parents=True, exist_ok=True)
        moved = np.hstack([image[:, 5:], *[image[:, -1:]] * 5])  # 10 % of 48 to the right, the edge repeated
        cv2.imwrite(str(shifted / file.parent.name / file.name), moved)

    here = json.loads(evaluate(data, "--models", models, "--framing", "--json").stdout)
    there = json.loads(evaluate(shifted, "--models", models, "--json").stdout)

    assert set(here["framing"]) == {framing.name for framing in FRAMINGS}
    moved_right = here["framing"]["10 % right"]
    for name in ("first", "second"):
        change = there["models"][name]["accuracy"] - here["models"][name]["accuracy"]
        assert moved_right[name] == pytest.approx(change)
    assert moved_right["ensemble"] == pytest.approx(there["ensemble"]["accuracy"] - here["ensemble"]["accuracy"])
    assert any(difference for framing in here["framing"].values() for difference in framing.values())
    assert "framing" not in there
    assert "20 % wider" in evaluate(data, "--models", models, "--framing").stdout


def test_the_adaptive_ensemble_has_the_metrics_of_the_worker_in_that_mode(tmp_path: Path, models: Path) -> None:
    data = write_faces(tmp_path / "data", each=6, first_seed=1)
    assert "adaptive" not in json.loads(evaluate(data, "--models", models, "--json").stdout)
    manifest = load_manifest(models)
    write_manifest(msgspec.structs.replace(manifest, adaptive=Adaptive("second", 1.4, 0.6)), models)
    served, labels = predict_dataset(Ensemble.load(models, mode="adaptive"), read_dataset(data))
    assert 0 < served.escalated.sum() < len(labels)

    figures = json.loads(evaluate(data, "--models", models, "--json").stdout)["adaptive"]

    assert figures["escalated"] == pytest.approx(served.escalated.mean())
    assert figures["asked"] == pytest.approx({"first": served.escalated.mean(), "second": 1.0})
    assert figures["confusion"] == measure(served.scores, labels).confusion
    assert figures["nll"] == pytest.approx(measure(served.scores, labels).nll)
    assert f"adaptive ({served.escalated.mean():.0%}" in evaluate(data, "--models", models).stdout


def test_pictures_whose_pixels_are_also_in_another_set_can_be_left_out(tmp_path: Path, models: Path) -> None:
    data = write_faces(tmp_path / "data", each=3, first_seed=1)
    known = tmp_path / "known" / "happiness"
    known.mkdir(parents=True)
    for name in ("0.png", "2.png"):
        image = cv2.imread(str(data / "fear" / name))
        assert image is not None
        cv2.imwrite(str(known / name), image, [cv2.IMWRITE_PNG_COMPRESSION, 9])  # other bytes, same pixels
    result = json.loads(evaluate(data, "--models", models, "--without", known.parent, "--json").stdout)
    assert (result["n"], result["skipped_reasons"]) == (19, {"also in --without": 2})


def test_every_line_has_its_provenance(tmp_path: Path, models: Path) -> None:
    data = write_faces(tmp_path / "data", each=1, first_seed=1)
    lines = [json.loads(line) for line in evaluate(data, data, "--models", models, "--json").stdout.splitlines()]
    for line in lines:
        origin = line["provenance"]
        assert set(origin) == {
            "date",
            "commit",
            "dirty",
            "host",
            "cpu",
            "instructions",
            "cores",
            "versions",
            "manifest",
        }
        assert origin["manifest"] == load_manifest(models).digest
        assert origin["versions"]["numpy"] == np.__version__
        assert {"python", "ai-edge-litert"} <= set(origin["versions"])
        assert datetime.fromisoformat(origin["date"]).tzinfo is not None


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_provenance_names_the_commit_of_the_package_and_whether_it_was_changed(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    assert commit_of(package) == (None, None)
    git(tmp_path, "init")
    assert commit_of(package) == (None, None)  # inside a repository, but no part of it
    git(tmp_path, "add", "package")
    git(tmp_path, "commit", "-m", "first")
    assert commit_of(package) == (git(tmp_path, "rev-parse", "HEAD"), False)
    (package / "__init__.py").write_text("changed")
    assert commit_of(package) == (git(tmp_path, "rev-parse", "HEAD"), True)


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
        assert complaint in refusal("evaluate", *arguments)


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


def test_without_keras_the_error_names_the_command_that_installs_it(tmp_path: Path) -> None:
    train = write_faces(tmp_path / "train", each=1, first_seed=1)
    validation = write_faces(tmp_path / "validation", each=1, first_seed=50)
    program = "import sys; sys.modules['keras'] = None\nfrom training.cli import app; app()"
    arguments = ["fit", train, "--validation", validation, "--model", "mobilenetv2", "--out", tmp_path / "run"]
    run = subprocess.run([sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr == "training fit: keras is not installed; run: pip install 'lecturepulse[training]'\n"
