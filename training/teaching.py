"""Distillation: a network learns what others that were fitted before make of the training pictures.

Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015, section 2: soft targets tell more about a
picture than its label does, which matters most to a network that starts from nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from training.datasets import Faces
from training.fitted import read_faces
from training.recipe import Recipe, RunError, fitted_network, read_recipe
from worker.perception.emotions import Probabilities

TAUGHT = 0.7
"""How much of the target comes from the teachers; the rest from labels and votes."""


def taught(recipe: Recipe, targets: npt.NDArray[np.float32], faces: Faces) -> npt.NDArray[np.float32]:
    """The [n, 7] targets of `faces`, most of them as the recipe's teachers on average see it.

    RunError where a teacher's folder holds no network, or one for pictures of another colour.
    """
    if not recipe.teachers:
        return targets
    said = np.mean([_said(Path(run), recipe, faces) for run in recipe.teachers], axis=0)
    return np.asarray((1 - TAUGHT) * targets + TAUGHT * said, np.float32)


def _said(run: Path, recipe: Recipe, faces: Faces) -> Probabilities:
    teacher = read_recipe(run)
    if teacher.colour != recipe.colour:
        raise RunError(f"--teacher {run}: looks at {teacher.colour} pictures, this fit at {recipe.colour} ones")
    if not fitted_network(run, teacher.model).is_file():
        raise RunError(f"--teacher {run}: holds no network; let its `training fit` finish first")
    return read_faces(run, replace(faces, pixels=_scaled(faces.pixels, teacher.size)))


def _scaled(pixels: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    scaled: Sequence[npt.NDArray[np.uint8]] = [
        np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8) for picture in pixels
    ]
    return np.stack(scaled).reshape(len(pixels), size, size, pixels.shape[-1])
