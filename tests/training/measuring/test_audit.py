"""`training audit`: accuracy and calibration by group, with intervals."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.training.command_line import refusal, succeeded
from tests.training.drawn_faces import draw_face, write_faces
from tests.worker.perception.linear_network import write_adaptive_models
from training.datasets import read_dataset
from training.measuring.audit import audited_groups
from training.measuring.predictions import predict_dataset
from worker.contract.messages import EMOTIONS
from worker.perception.emotions import Ensemble

CODES = {"anger": "AN", "disgust": "DI", "fear": "AF", "happiness": "HA", "sadness": "SA", "surprise": "SU"}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    write_adaptive_models(folder, "mobilenetv2", threshold=0.5, default=True)
    return folder


def write_kdef(folder: Path) -> Path:
    """Three women and two men, each emotion from the front, dark and large, and from the left, bright and small."""
    folder.mkdir()
    for i, person in enumerate(("F01", "F02", "F03", "M01", "M02")):
        for emotion in EMOTIONS:
            for angle, side, light in (("S", 140, 0.3), ("HL", 70, 1.0)):
                face = (draw_face(emotion, i, side) * light + 250 * (light == 1.0) * 0.5).clip(0, 255)
                name = f"A{person}{CODES.get(emotion, 'NE')}{angle}.png"
                assert cv2.imwrite(str(folder / name), face.astype(np.uint8))
    return folder


def test_groups_are_the_sexes_and_angles_of_kdef_and_the_sizes_and_brightnesses_of_the_crops(
    tmp_path: Path, models: Path
) -> None:
    data = write_kdef(tmp_path / "KDEF")
    result = json.loads(succeeded("audit", data, "--models", models, "--json").stdout)
    counted = {(group["kind"], group["value"]): (group["n"], group["persons"]) for group in result["groups"]}
    assert counted["all", ""] == (70, 5)
    assert (counted["sex", "female"], counted["sex", "male"]) == ((42, 3), (28, 2))
    assert counted["angle", "frontal"] == counted["angle", "half profile, left"] == (35, 5)
    assert counted["size", "128 to 191"] == counted["size", "64 to 95"] == (35, 5)
    assert sum(n for (kind, _), (n, _) in counted.items() if kind == "brightness") == 70
    assert result["mode"] == "adaptive", "as workers serve it"
    served, labels = predict_dataset(Ensemble.load(models, mode="adaptive"), read_dataset(data))
    assert result["groups"][0]["accuracy"] == pytest.approx((served.scores.argmax(axis=1) == labels).mean())
    assert {"commit", "date", "manifest"} <= set(result["provenance"])
    for group in result["groups"]:
        low, high = group["accuracy_interval"]
        assert 0 <= low <= group["accuracy"] <= high <= 1


def test_without_names_of_kdef_and_without_json_there_is_a_table_by_size_and_brightness(
    tmp_path: Path, models: Path
) -> None:
    data = write_faces(tmp_path / "data", each=2, first_seed=1)
    (data / "fear" / "broken.png").write_text("not a picture")
    shown = succeeded("audit", data, "--models", models, "--ensemble", "full").stdout
    assert all(word in shown for word in ("the full ensemble, 1 left out", "brightness", "48 to 63", "by chance"))
    assert "sex" not in shown


def test_the_interval_of_a_share_is_the_known_one_and_persons_make_it_wider() -> None:
    labels = np.zeros(2000, np.int64)
    scores = np.full((2000, 7), 0.1, np.float32)
    scores[:1400, 0], scores[1400:, 1] = 0.4, 0.4  # right for 70 %
    traits = [{"half": str(i % 2)} for i in range(2000)]
    by_picture, *halves = audited_groups(scores, labels, [None] * 2000, traits)
    margin = 1.96 * np.sqrt(0.7 * 0.3 / 2000)
    assert by_picture.accuracy_interval == pytest.approx((0.7 - margin, 0.7 + margin), abs=0.004)
    assert [(group.value, group.n, group.persons) for group in halves] == [("0", 1000, None), ("1", 1000, None)]

    by_person = next(audited_groups(scores, labels, [f"p{i // 100}" for i in range(2000)], traits))
    assert by_person.persons == 20
    low, high = by_person.accuracy_interval
    assert high - low > 4 * 2 * margin
    assert by_person.ece == pytest.approx(0.3)
    assert by_person.ece_by_chance < 0.03, "the scores say 0.4, so 0.4 would be right"


def test_what_cannot_be_audited_is_one_line(tmp_path: Path, models: Path) -> None:
    data = write_faces(tmp_path / "data", each=1, first_seed=1)
    assert "no such folder" in refusal("audit", tmp_path / "nowhere", "--models", models)
    assert "manifest.json" in refusal("audit", data, "--models", data)
