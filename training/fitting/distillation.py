"""Distillation: a network learns what earlier networks say of the training pictures.

Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015, section 2: soft targets say more about a
picture than its label does, which matters most to a network that starts from nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np
import numpy.typing as npt

from training.datasets import Faces
from training.fitting.predict import read_faces
from training.recipe import Recipe, RunError, fitted_network, read_recipe
from worker.contract.messages import EMOTIONS
from worker.perception.emotions import Probabilities

TAUGHT = 0.7
"""How much of the target comes from the teachers; the rest from labels and votes."""

ORIGIN = "origin"
"""The array of a file of soft targets that says which picture a row belongs to."""

_SUM_TOLERANCE = 0.02  # of a row of probabilities, which may be kept in halves


def taught(recipe: Recipe, targets: npt.NDArray[np.float32], faces: Faces) -> npt.NDArray[np.float32]:
    """The [n, 7] targets of `faces`, most of each the mean of what the recipe's teachers and soft targets say.

    A picture of which they say nothing keeps its target. RunError where a teacher's folder holds no network, or one for
    pictures of another colour, or where the file of soft targets cannot be used.
    """
    said = [_said(Path(run), recipe, faces) for run in recipe.teachers]
    if recipe.targets is not None:
        said += _written(Path(recipe.targets), faces)
    if not said:
        return targets
    known = ~np.isnan(np.stack(said))
    mean = np.where(known, said, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    mean = np.where(known.any(axis=0), mean, targets)
    return np.asarray((1 - TAUGHT) * targets + TAUGHT * mean, np.float32)


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


def _written(path: Path, faces: Faces) -> list[Probabilities]:
    """Each array of soft targets as [n, 7], a row of NaN for a picture that the file does not know."""
    arrays = _read(path)
    row_of = {str(origin): row for row, origin in enumerate(arrays.pop(ORIGIN))}
    rows = np.array([row_of.get(origin or "", -1) for origin in faces.origins], int)
    if not (rows >= 0).any():
        raise RunError(
            f"--targets {path}: knows none of the {len(faces.labels)} training pictures; "
            "train on the prepared set that it was made of"
        )
    known = (rows >= 0)[:, np.newaxis]
    return [np.where(known, values[rows], np.nan).astype(np.float32) for values in arrays.values()]


def _read(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """The origins [n] and the arrays of probabilities [n, 7] by name; other arrays are left out."""
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, AttributeError, BadZipFile) as failure:
        raise RunError(f"--targets {path}: cannot be read ({failure}); name an .npz of soft targets") from None
    shape = (len(arrays.get(ORIGIN, ())), len(EMOTIONS))
    probabilities = {name: values for name, values in arrays.items() if name != ORIGIN and values.shape == shape}
    if ORIGIN not in arrays or not probabilities:
        raise RunError(f"--targets {path}: needs `{ORIGIN}` [n] and at least one array [n, {len(EMOTIONS)}]")
    for name, values in probabilities.items():
        if not ((values >= 0).all() and (abs(values.sum(axis=1, dtype=np.float32) - 1) < _SUM_TOLERANCE).all()):
            raise RunError(f"--targets {path}: the rows of `{name}` are not probabilities that sum to one")
    return {ORIGIN: arrays[ORIGIN], **probabilities}
