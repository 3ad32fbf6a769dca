"""Soft targets: what a network of any kind predicts for labelled pictures, for `training fit --targets`.

The mean over a few views of a picture is a better target than the prediction for the picture itself, and a network that
learns it learns the same for all views (Beyer et al., Knowledge Distillation: A Good Teacher is Patient and Consistent,
2022, section 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import numpy.typing as npt

from training.datasets import Dataset, DatasetError, left_out
from training.fitting.distillation import ORIGIN, read_soft_targets
from training.measuring.crops import pictures_with_crops
from training.measuring.framing import AS_SERVED, Framing
from training.networks.saved import load_network
from training.recipe import RunError, in_one_line
from training.run import FIXED, network_file, read_recipe, read_standardization
from training.whole_file import write_whole
from worker.contract.messages import EMOTIONS
from worker.perception.emotions import Probabilities, softmax
from worker.perception.preprocessing import Image, network_pixels

TeacherColour = Literal["grey", "rgb", "bgr"]

VIEWS = (AS_SERVED, Framing("10 % narrower", scale=0.9))
"""The framings of a picture. Each is also shown as its mirror image."""

BATCH = 64


@dataclass(frozen=True)
class Teacher:
    """A network with seven outputs in the order of EMOTIONS. They are probabilities or logits.

    It takes pictures of `size` rows and columns, whose pixels of 0 to 255 become (pixels - mean) / std. `mean` has one
    value, or one for each channel in the order of `colour`.
    """

    network: keras.Model
    size: int
    colour: TeacherColour
    mean: tuple[float, ...] = (FIXED.mean,)
    std: float = FIXED.std

    def batch(self, pictures: Sequence[Image]) -> npt.NDArray[np.float32]:
        """The pictures as the network takes them, [n, size, size, channels]."""
        colour: Literal["grey", "rgb"] = "grey" if self.colour == "grey" else "rgb"
        pixels = np.stack([network_pixels(picture, self.size, colour) for picture in pictures]).astype(np.float32)
        if self.colour == "bgr":
            pixels = pixels[..., ::-1]
        return (pixels - np.asarray(self.mean, np.float32)) / np.float32(self.std)

    def predict(self, pictures: Sequence[Image]) -> Probabilities:
        """The probabilities of the pictures, [n, 7]."""
        given = np.asarray(self.network.predict_on_batch(self.batch(pictures)), np.float32)
        are_probabilities = (given >= 0).all() and np.allclose(given.sum(axis=1), 1, atol=1e-3)
        return given if are_probabilities else softmax(given)


def load_teacher(
    model: Path,
    size: int | None,
    colour: TeacherColour | None,
    mean: tuple[float, ...] | None,
    std: float | None,
) -> Teacher:
    """The network of a run, or of a file that Keras can load.

    Values that are None follow from the run, or from the input of the network (three channels are RGB). Raises RunError
    if there is no such network, or if it cannot take such pictures or has other outputs.
    """
    file = model
    if model.is_dir():
        recipe, standardization = read_recipe(model), read_standardization(model)
        file = network_file(model, recipe.model)
        size, colour = size or recipe.size, colour or recipe.colour
        mean, std = mean or (standardization.mean,), std or standardization.std
    try:
        network = load_network(file)
        _, height, width, channels = network.input.shape
        _, outputs = network.output.shape
    except (ValueError, TypeError, AttributeError) as failure:
        raise RunError(
            f"{model}: no network that takes pictures ({in_one_line(failure)}); name a .keras file"
        ) from None
    if outputs != len(EMOTIONS):
        raise RunError(f"{model}: has {outputs} outputs instead of {len(EMOTIONS)}, one for each emotion")
    side = size or height
    if side is None or height not in (None, side) or width not in (None, side):
        raise RunError(f"{model}: takes pictures of {height}x{width}; say with --size which side to give it")
    chosen: TeacherColour = colour or ("grey" if channels == 1 else "rgb")
    if channels not in (None, 1 if chosen == "grey" else 3):
        raise RunError(f"{model}: takes {channels} channels, which are not {chosen}; say another --colour")
    means = mean or (FIXED.mean,)
    if len(means) not in (1, 1 if chosen == "grey" else 3):
        raise RunError(f"--mean has {len(means)} values; give one, or one for each channel")
    return Teacher(network, side, chosen, means, std or FIXED.std)


def teach(teacher: Teacher, datasets: Sequence[Dataset], name: str, out: Path) -> int:
    """Write the teacher's soft targets for every readable picture of prepared `datasets` as the array `name` of `out`.

    If `out` has soft targets for the same pictures already, the array is added to them. Returns the number of
    pictures. Raises DatasetError if no picture can be used or one has no origin, and RunError if `out` cannot be
    written or has other pictures, or if no array can have this name.
    """
    if name in (ORIGIN, "file"):  # NumPy's function that writes the arrays takes the second one for itself
        raise RunError(f"--name {name}: no name for a teacher in a file of soft targets; say another --name")
    for dataset in datasets:
        if any(picture.origin is None for picture in dataset.pictures):
            raise DatasetError(f"{dataset.name}: its pictures have no origin; use one that `training prepare` made")
    origins: list[str] = []
    rows: list[Probabilities] = []
    pictures = chain.from_iterable(pictures_with_crops(dataset, VIEWS) for dataset in datasets)
    while block := list(islice(pictures, BATCH)):
        origins += [str(picture.origin) for picture, _ in block]
        views = list(zip(*(crops for _, crops in block), strict=True))
        mirrored = [[np.ascontiguousarray(crop[:, ::-1]) for crop in crops] for crops in views]
        rows.append(np.mean([teacher.predict(crops) for crops in (*views, *mirrored)], axis=0))
    if not origins:
        skipped = ", ".join(f"{dataset.name}{left_out(dataset.skipped)}" for dataset in datasets)
        raise DatasetError(f"{skipped}: none of its pictures can be used")
    _write(out, origins, name, np.concatenate(rows))
    return len(origins)


def _write(out: Path, origins: list[str], name: str, targets: Probabilities) -> None:
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    if out.exists():
        arrays = read_soft_targets(out)
        row_of = {origin: row for row, origin in enumerate(origins)}
        if {str(origin) for origin in arrays[ORIGIN]} != set(origins):
            raise RunError(f"{out}: has soft targets for other pictures; name another --out, or teach the same DATA")
        targets = targets[[row_of[str(origin)] for origin in arrays[ORIGIN]]]
    arrays = {ORIGIN: np.asarray(origins), **arrays, name: targets.astype(np.float16)}

    def save(path: Path) -> None:
        with path.open("wb") as file:
            np.savez_compressed(file, **arrays)

    write_whole(out, save)
