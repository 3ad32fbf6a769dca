"""Distillation from files of soft targets."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from training.datasets import FaceArrays
from training.fitting.distillation import DISTILLED_SHARE, distilled_targets
from training.recipe import Recipe, RunError

# TensorFlow alone takes 5 s of a free core to import, many more of a busy one.
pytestmark = pytest.mark.timeout(900)


def four_faces() -> FaceArrays:
    labels = np.array([0, 1, 2, 6])
    pixels = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
    return FaceArrays(pixels, labels, [], labelled(labels), np.ones(4, np.float32), ["a", "b", "c", None])


def labelled(labels: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.eye(7, dtype=np.float32)[labels]


def soft_targets(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_soft_targets_are_assigned_by_the_origin_of_a_picture(tmp_path: Path) -> None:
    one, other = np.full((2, 7), 1 / 7), np.eye(7)[[3, 4]]
    file = soft_targets(tmp_path / "soft.npz", origin=["b", "a"], one=one, other=other, validation=[True, False])
    faces = four_faces()
    targets = distilled_targets(Recipe("mobilenetv2", targets=str(file)), labelled(faces.labels), faces)
    assert targets[0] == pytest.approx((1 - DISTILLED_SHARE) * np.eye(7)[0] + DISTILLED_SHARE * (one[1] + other[1]) / 2)
    assert targets[1] == pytest.approx((1 - DISTILLED_SHARE) * np.eye(7)[1] + DISTILLED_SHARE * (one[0] + other[0]) / 2)
    assert targets[2] == pytest.approx(np.eye(7)[2]), "a picture without soft target keeps its label"
    assert targets[3] == pytest.approx(np.eye(7)[6]), "a picture without origin keeps its label"


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"origin": ["a"]}, "needs `origin` [n] and at least one array [n, 7]"),
        ({"teacher": np.full((1, 7), 1 / 7)}, "needs `origin` [n] and at least one array [n, 7]"),
        ({"origin": ["a"], "teacher": np.full((1, 7), 0.2)}, "the rows of `teacher` are not probabilities that sum"),
        ({"origin": ["z"], "teacher": np.eye(7)[:1]}, "has none of the 4 training pictures; train on the prepared"),
        (None, "cannot be read ("),
    ],
)
def test_soft_targets_that_cannot_be_used_are_named(
    tmp_path: Path, arrays: dict[str, object] | None, complaint: str
) -> None:
    file = tmp_path / "soft.npz"
    file.write_text("no archive") if arrays is None else soft_targets(file, **arrays)
    faces = four_faces()
    with pytest.raises(RunError) as refused:
        distilled_targets(Recipe("mobilenetv2", targets=str(file)), labelled(faces.labels), faces)
    assert str(refused.value).startswith(f"--targets {file}: {complaint}")


def test_a_damaged_file_of_soft_targets_is_named(tmp_path: Path) -> None:
    soft_targets(tmp_path / "whole.npz", origin=["a"], teacher=np.full((1, 7), 1 / 7))
    whole = (tmp_path / "whole.npz").read_bytes()
    np.save(tmp_path / "single.npy", np.zeros(3))
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    for name in ("single.npy", "empty.npz", "cut.npz"):
        with pytest.raises(RunError, match=f"--targets {tmp_path / name}: cannot be read"):
            distilled_targets(
                Recipe("mobilenetv2", targets=str(tmp_path / name)), labelled(four_faces().labels), four_faces()
            )
