"""One step of a reproduction: a fit that was finished is not done again, one that was killed goes on."""

import hashlib
import logging
import math
from dataclasses import replace
from pathlib import Path

from training.datasets import Dataset, Faces, load_faces
from training.recipe import Recipe, is_finished
from training.silence import tensorflow_silenced


def fit_once(recipe: Recipe, train: Dataset, validation: Dataset, run: Path) -> Path:
    """Fit `recipe` on all of `train` in the folder `run`, which is returned; nothing is read where it is finished.

    Raises RunError where `run` holds a fit by another recipe.
    """
    recipe = replace(recipe, train=[train.name], validation=[validation.name])
    if is_finished(run, recipe):
        return run
    with tensorflow_silenced():
        import keras

        from training.fitting.fit import fit
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it takes several fits in one process for a mistake
    keras.utils.clear_session()  # of the network before, whose memory is not given back otherwise
    fit(recipe, faces_of(recipe, train), faces_of(recipe, validation), run)
    return run


def faces_of(recipe: Recipe, dataset: Dataset) -> Faces:
    """The pictures as the recipe's network sees them."""
    return load_faces([dataset], recipe.size, recipe.colour)


def drawn(dataset: Dataset, share: float) -> Dataset:
    """A share of a dataset's pictures, the same of each emotion and the same whenever it is drawn."""
    if share >= 1:
        return dataset
    pictures = []
    for label in sorted({picture.label for picture in dataset.pictures}):
        of_label = [picture for picture in dataset.pictures if picture.label == label]
        of_label.sort(key=lambda picture: hashlib.blake2b(picture.path.name.encode()).digest())
        pictures += of_label[: math.ceil(len(of_label) * share)]
    return Dataset(f"{dataset.name} ({len(pictures)} of {len(dataset.pictures)})", pictures)


def limited(dataset: Dataset, limit: int | None) -> Dataset:
    """About `limit` pictures of a dataset, all emotions among them; all of it without one."""
    return dataset if limit is None else drawn(dataset, limit / len(dataset.pictures))
