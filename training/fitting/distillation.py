"""Distillation from files: a network learns what earlier networks predict for the training pictures.

Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015, section 2: soft targets hold more
information than labels. It helps a network without starting weights most.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.arrays import read_npz
from training.datasets import FaceArrays
from training.recipe import Recipe, RunError
from worker.contract.messages import EMOTIONS

DISTILLED_SHARE = 0.7
"""The share of a target, or of the cross entropy, that comes from teachers; the rest comes from labels and votes."""

ORIGIN = "origin"
"""The array in a file of soft targets that names the picture of each row."""

_SUM_TOLERANCE = 0.02  # of a row of probabilities, which may be stored in half precision


def distilled_targets(recipe: Recipe, targets: npt.NDArray[np.float32], faces: FaceArrays) -> npt.NDArray[np.float32]:
    """The targets [n, 7] of `faces`: mostly the mean of the recipe's soft targets, partly `targets`.

    A picture without a soft target keeps its target. RunError if the file of soft targets cannot be used.
    """
    if recipe.targets is None:
        return targets
    path = Path(recipe.targets)
    arrays = read_soft_targets(path)
    row_of = {str(origin): row for row, origin in enumerate(arrays.pop(ORIGIN))}
    rows = np.array([row_of.get(origin or "", -1) for origin in faces.origins], int)
    if not (rows >= 0).any():
        raise RunError(
            f"--targets {path}: has none of the {len(faces.labels)} training pictures; "
            "train on the prepared set that it was made of"
        )
    soft = np.mean([values[rows].astype(np.float32) for values in arrays.values()], axis=0)
    soft = np.where((rows >= 0)[:, np.newaxis], soft, targets)
    return np.asarray((1 - DISTILLED_SHARE) * targets + DISTILLED_SHARE * soft, np.float32)


def read_soft_targets(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The origins [n] and the arrays of probabilities [n, 7] by name; other arrays are left out.

    Raises RunError if the file cannot be read, or has none.
    """
    try:
        arrays = read_npz(path)
    except (OSError, ValueError) as failure:
        raise RunError(f"--targets {path}: cannot be read ({failure}); name an .npz of soft targets") from None
    shape = (len(arrays.get(ORIGIN, ())), len(EMOTIONS))
    probabilities = {name: values for name, values in arrays.items() if name != ORIGIN and values.shape == shape}
    if ORIGIN not in arrays or not probabilities:
        raise RunError(f"--targets {path}: needs `{ORIGIN}` [n] and at least one array [n, {len(EMOTIONS)}]")
    for name, values in probabilities.items():
        if not ((values >= 0).all() and (abs(values.sum(axis=1, dtype=np.float32) - 1) < _SUM_TOLERANCE).all()):
            raise RunError(f"--targets {path}: the rows of `{name}` are not probabilities that sum to one")
    return {ORIGIN: arrays[ORIGIN], **probabilities}
