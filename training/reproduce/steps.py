"""The steps of a reproduction: find the public sets, fit once, and draw parts of datasets."""

import hashlib
import logging
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from training.datasets import Dataset, DatasetError, FaceArrays, load_faces
from training.recipe import Recipe
from training.run import HISTORY, RECIPE, is_finished, network_file, read_recipe
from training.silence import tensorflow_silenced

# The names of each set as `spelled`: CK+48 is ck48. If a folder holds several, the first name counts.
NAMES = {
    "fer2013": ("fer2013", "fer"),
    "affectnet": ("affectnet",),
    "kdef": ("kdef",),
    "rafdb": ("rafdb", "rafdbbasic"),
    "ckplus": ("ckplus48", "ck48", "ckplus", "ck"),
}

VOTES = ("ferplus.csv", "fer2013new.csv")
"""Our name and Microsoft's name for FER+'s votes on FER-2013."""

Report = Callable[[str], None]
"""Prints one line about a step."""


def find_sources(data: Path, wanted: tuple[str, ...]) -> dict[str, Path]:
    """The folders in `data` of the `wanted` sets, by name in the order of `wanted`; DatasetError if there is none."""
    if not data.is_dir():
        raise DatasetError(f"{data}: no such folder; name the one that holds the sets {', '.join(wanted)}")
    folders = {spelled(path.name): path for path in sorted(data.iterdir()) if path.is_dir()}
    found = {name: folders[spelling] for name in wanted for spelling in reversed(NAMES[name]) if spelling in folders}
    if not found:
        raise DatasetError(f"{data}: holds none of the sets {', '.join(wanted)}; unpack them into folders of that name")
    return found


def spelled(name: str) -> str:
    """The name of a set as it is compared: in lower case and without signs."""
    return re.sub(r"\W|_", "", name.lower())


def find_votes(data: Path) -> Path | None:
    """The csv of FER+'s votes in `data`, or None."""
    return next((data / name for name in VOTES if (data / name).is_file()), None)


def find_weights(data: Path, model: str) -> str | None:
    """The file of starting weights of `model` in DATA/weights: folded kernels if possible, or another .npz; or None."""
    files = sorted((data / "weights").glob(f"*{model}*.npz"), key=lambda file: ("folded" not in file.name, file.name))
    return str(files[0]) if files else None


def fit_once(recipe: Recipe, train: Dataset, validation: Dataset, run: Path) -> None:
    """Fit `recipe` on all of `train` in the folder `run`. A finished fit reads no picture.

    Raises RunError if `run` holds a fit by another recipe.
    """
    recipe = replace(recipe, train=[train.name], validation=[validation.name])
    if is_finished(run, recipe):
        return
    with tensorflow_silenced():
        import keras

        from training.fitting.fit import fit
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of several fits in one process
    keras.utils.clear_session()  # frees the memory of the network before
    for_teacher = None if recipe.teacher is None else faces_of(read_recipe(Path(recipe.teacher)), train).pixels
    fit(recipe, faces_of(recipe, train), faces_of(recipe, validation), run, for_teacher)


def epochs_left(run: Path, recipe: Recipe) -> int:
    """The number of epochs that the fit of `recipe` in the folder `run` still has to make, at most."""
    if (run / RECIPE).is_file() and network_file(run, recipe.model).is_file():
        return 0
    return max(0, recipe.epochs - epochs_made(run))


def epochs_made(run: Path) -> int:
    """The number of epochs that the fit in the folder `run` has made."""
    history = run / HISTORY
    return max(0, len(history.read_text(encoding="utf-8").splitlines()) - 1) if history.is_file() else 0  # no heading


def shortened(recipe: Recipe, epochs: int | None) -> Recipe:
    """The recipe with at most `epochs` epochs; None changes nothing."""
    return recipe if epochs is None else replace(recipe, epochs=min(recipe.epochs, epochs))


def faces_of(recipe: Recipe, dataset: Dataset) -> FaceArrays:
    """The pictures in the size and colour of the recipe."""
    return load_faces([dataset], recipe.size, recipe.colour)


def drawn(dataset: Dataset, share: float) -> Dataset:
    """A share of a dataset's pictures, the same share of each emotion, and always the same pictures."""
    if share >= 1:
        return dataset
    pictures = []
    for label in sorted({picture.label for picture in dataset.pictures}):
        of_label = [picture for picture in dataset.pictures if picture.label == label]
        of_label.sort(key=lambda picture: hashlib.blake2b(picture.path.name.encode()).digest())
        pictures += of_label[: math.ceil(len(of_label) * share)]
    return Dataset(f"{dataset.name} ({len(pictures)} of {len(dataset.pictures)})", pictures)


def limited(dataset: Dataset, limit: int | None) -> Dataset:
    """About `limit` pictures of a dataset, with all its emotions; None changes nothing."""
    return dataset if limit is None else drawn(dataset, limit / len(dataset.pictures))
