"""Measuring and installing the forms of a network; converting is tested in fitting/test_fit.py."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.command_line import refusal
from tests.training.drawn_faces import write_faces
from tests.worker.perception.linear_network import write_linear_models
from training.conversion.convert import representative_set
from training.conversion.forms import TIMED_FACES, FormMetrics, excessive_loss, install, measure_forms
from training.datasets import Dataset, FaceArrays, read_dataset
from training.measuring.metrics import negative_log_likelihood
from training.recipe import Recipe, RunError
from training.run import FIXED, claim_run, write_standardization
from training.weighing.weights import fit_temperature
from worker.perception.emotions import calibrate, softmax
from worker.perception.manifest import Form, Manifest, ManifestError, Model, load_manifest


def metrics(accuracy: float) -> FormMetrics:
    return FormMetrics(accuracy, agreement=0.9, nll=1.0, size=1000, ms_per_face=1.0)


def test_a_form_that_loses_more_than_allowed_is_refused_with_both_accuracies() -> None:
    forms: dict[Form, FormMetrics] = {"float32": metrics(0.70), "int8": metrics(0.69), "float16": metrics(0.71)}
    too_much = excessive_loss("int8", forms, 0.007)
    assert too_much is not None
    assert "int8 loses 0.0100 of accuracy (0.6900, float32 0.7000), more than --max-loss 0.007" in too_much
    assert excessive_loss("int8", forms, 0.011) is None
    assert excessive_loss("float16", forms, 0.0) is None


def test_a_teacher_is_not_served(tmp_path: Path) -> None:
    data = write_faces(tmp_path / "data", each=1, first_seed=1)
    claim_run(tmp_path / "run", Recipe("mobilenetv1"))
    write_standardization(tmp_path / "run", FIXED)
    line = refusal("quantize", tmp_path / "run", data, "--validation", data, "--models", tmp_path / "models")
    assert line.startswith(f"{tmp_path}/run: mobilenetv1 is not served; let it teach")
    assert not (tmp_path / "models").exists()


@settings(deadline=None, max_examples=20)
@given(st.floats(0.3, 4.0), st.integers(0, 100))
def test_the_temperature_that_was_applied_is_found_again(temperature: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    true = softmax(random.normal(0, 1.5, (4000, 7)).astype(np.float32))
    labels = (true.cumsum(axis=1) > random.random((4000, 1))).argmax(axis=1)  # drawn from `true`
    distorted = calibrate(true, 1 / temperature)
    found = fit_temperature(distorted, labels)
    assert found == pytest.approx(temperature, rel=0.15)
    best = negative_log_likelihood(calibrate(distorted, found), labels)
    assert best <= negative_log_likelihood(true, labels) + 1e-4


def test_the_representative_set_has_as_many_of_each_emotion_and_is_always_the_same() -> None:
    labels = np.repeat(np.arange(7), [5, 100, 200, 1000, 300, 80, 100])
    pixels = np.broadcast_to(labels[:, None, None, None], (len(labels), 4, 4, 1)).astype(np.uint8)
    faces = FaceArrays(pixels, labels, [], np.eye(7, dtype=np.float32)[labels], np.ones(len(labels), np.float32))
    chosen = representative_set(faces, FIXED)
    of_label = np.bincount(np.rint(chosen[:, 0, 0, 0] * 127.5 + 127.5).astype(int), minlength=7)
    assert of_label.tolist() == [5, 60, 60, 60, 60, 60, 60]
    assert np.array_equal(chosen, representative_set(faces, FIXED))


@pytest.fixture
def validation(tmp_path: Path) -> Dataset:
    return read_dataset(write_faces(tmp_path / "validation", each=3, first_seed=1))


def made(work: Path) -> list[Model]:
    """Two forms of a network, as `make_forms` returns them."""
    work.mkdir()
    first, second = write_linear_models(work, {"float32": 1, "int8": 2}).models
    return [first, msgspec.structs.replace(second, quantization="int8")]


def installed(work: Path, models: Path, name: str, validation: Dataset) -> Manifest:
    forms = made(work)
    return install(name, forms[1], work, models, validation, measure_forms(forms, work, validation))


def test_float32_agrees_with_itself_and_each_form_has_its_own_metrics(tmp_path: Path, validation: Dataset) -> None:
    forms = made(tmp_path / "work")
    measured = measure_forms(forms, tmp_path / "work", validation)
    assert list(measured) == ["float32", "int8"]
    assert measured["float32"].agreement == 1
    assert measured["int8"].agreement < 1
    assert measured["int8"].size == (tmp_path / "work" / "int8.tflite").stat().st_size
    assert measured["int8"].ms_per_face > 0


def test_the_time_is_measured_on_readable_pictures(tmp_path: Path, validation: Dataset) -> None:
    for i in range(TIMED_FACES):
        (tmp_path / "validation" / "anger" / f"!{i}.png").write_text("not a picture")  # before all others
    measured = measure_forms(made(tmp_path / "work"), tmp_path / "work", read_dataset(tmp_path / "validation"))
    assert measured["float32"].ms_per_face > 0


def test_installing_keeps_the_other_networks_and_removes_the_old_file(tmp_path: Path, validation: Dataset) -> None:
    models = tmp_path / "models"
    models.mkdir()
    write_linear_models(models, {"other": 5, "new": 6})
    installed(tmp_path / "work", models, "new", validation)
    assert {m.name: m.file for m in load_manifest(models).models} == {"other": "other.tflite", "new": "int8.tflite"}
    assert {path.name for path in models.iterdir()} == {"int8.tflite", "other.tflite", "manifest.json"}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, validation: Dataset) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(RunError, match=f"{tmp_path / 'models'}: int8.tflite cannot be written"):
        installed(tmp_path / "work", tmp_path / "models", "new", validation)


def test_the_entry_names_the_day_and_the_pictures_of_its_metrics(tmp_path: Path, validation: Dataset) -> None:
    (model,) = installed(tmp_path / "work", tmp_path / "models", "new", validation).models
    assert {"date", "validation", "n", "macro_recall", "forms"} == set(model.figures)
    assert model.figures["n"] == 21
    assert model.figures["validation"].endswith("validation")
    assert not Path(model.figures["validation"]).is_absolute()


def test_a_broken_set_of_models_is_unchanged(tmp_path: Path, validation: Dataset) -> None:
    models = tmp_path / "models"
    models.mkdir()
    write_linear_models(models, {"other": 5})
    (models / "other.tflite").write_bytes(b"something else")
    before = sorted(models.iterdir())
    with pytest.raises(ManifestError, match=r"other\.tflite: sha256"):
        installed(tmp_path / "work", models, "new", validation)
    assert sorted(models.iterdir()) == before
