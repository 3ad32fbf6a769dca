"""Learning from a teacher that sees the same augmented pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")

from tests.training.tiny_network import finished_run, tiny  # noqa: E402
from training.datasets import FaceArrays  # noqa: E402
from training.fitting.batches import TrainingBatches  # noqa: E402
from training.fitting.feature_distillation import FeatureTeacher, Taught, read_teacher  # noqa: E402
from training.fitting.fit import compiled_for_training  # noqa: E402
from training.recipe import Recipe, RunError  # noqa: E402
from training.run import FIXED  # noqa: E402

# TensorFlow alone takes 5 s of a free core to import, many more of a busy one.
pytestmark = pytest.mark.timeout(900)

RECIPE = Recipe("mobilenetv2", size=32, batch=64, epochs=60, learning_rate=0.01, label_smoothing=0.0)


def faces(count: int = 64) -> tuple[FaceArrays, npt.NDArray[np.uint8]]:
    """Grey pictures of 32 pixels, and the same pictures in colour at 48 pixels for the teacher."""
    random = np.random.default_rng(1)
    coarse = random.integers(0, 256, (count, 4, 4, 1), np.uint8)
    own, seen = (coarse.repeat(n, axis=1).repeat(n, axis=2) for n in (8, 12))
    labels = random.integers(0, 7, count)
    votes = np.eye(7, dtype=np.float32)[labels]
    return FaceArrays(own, labels, [], votes, np.ones(count, np.float32)), seen.repeat(3, axis=3)


def taught_by(teacher: Any) -> tuple[Taught, TrainingBatches]:
    arrays, seen = faces()
    with_pictures = FeatureTeacher(teacher, FIXED, seen)
    batches = TrainingBatches(arrays, RECIPE, with_pictures)
    return compiled_for_training(tiny(32, 1), RECIPE, FIXED, batches, with_pictures), batches


def test_a_network_learns_features_and_predictions_of_its_teacher_and_the_teacher_stays() -> None:
    keras.utils.set_random_seed(1)
    teacher = tiny(48, 3)
    before = [np.array(values) for values in teacher.get_weights()]
    trained, batches = taught_by(teacher)
    losses = trained.fit(batches, epochs=RECIPE.epochs, verbose=0).history["loss"]
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:5])
    assert all(np.array_equal(*pair) for pair in zip(before, teacher.get_weights(), strict=True))


def test_the_teacher_takes_no_part_in_predictions() -> None:
    keras.utils.set_random_seed(1)
    trained, _ = taught_by(tiny(48, 3))
    arrays, _ = faces()
    logits = trained.predict(arrays.pixels, verbose=0)
    alone = trained.student.predict(FIXED.applied(arrays.pixels), verbose=0)[1]
    assert logits == pytest.approx(alone, abs=1e-4)


def test_mixup_mixes_both_pictures_of_a_pair_in_the_same_shares() -> None:
    arrays, seen = faces()
    teacher = FeatureTeacher(tiny(48, 3), FIXED, seen)
    batches = TrainingBatches(arrays, Recipe("mobilenetv2", batch=64, mixup=0.4), teacher)
    (own, for_teacher, weights), _, of_labels = batches[0]
    assert of_labels == pytest.approx(0.3 * weights)
    assert (own.dtype, for_teacher.dtype) == (np.uint8, np.uint8)
    assert np.array_equal(own[:, ::8, ::8], for_teacher[:, ::12, ::12, :1])


def test_a_teacher_without_features_is_named(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", Recipe("mobilenetv2", size=32, colour="rgb"))
    recipe = Recipe("mobilenetv2", size=32, teacher=str(run))
    pixels = np.zeros((1, 32, 32, 3), np.uint8)
    teacher = read_teacher(recipe, pixels)
    assert teacher is not None
    assert teacher.network.output.shape[-1] == 7
    network = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(7)])
    network.save(run / "mobilenetv2.keras")
    with pytest.raises(RunError) as refused:
        read_teacher(recipe, pixels)
    assert str(refused.value).startswith(f"--teacher {run}: cannot teach (")


def test_a_picture_counts_by_its_weight_in_the_teachers_part() -> None:
    keras.utils.set_random_seed(1)
    trained, batches = taught_by(tiny(48, 3))
    (own, seen, weights), targets, of_labels = batches[0]
    losses = [
        trained.test_on_batch((own, seen, factor * weights), targets, 0 * of_labels, return_dict=True)["loss"]
        for factor in (1.0, 3.0)
    ]
    assert losses[1] == pytest.approx(3 * losses[0], rel=1e-4)
