"""The run: the folder of a fit, with its recipe, its standardization of pixels and its network. No Keras."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from training.recipe import ModelName, Recipe, RunError
from training.whole_file import write_json

RECIPE = "recipe.json"
STANDARDIZATION = "standardization.json"
HISTORY = "history.csv"

_Content = TypeVar("_Content")


@dataclass(frozen=True)
class Standardization:
    """Pixels x of 0 to 255 become (x - mean) / std."""

    mean: float
    std: Annotated[float, Meta(gt=0)]

    def applied(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """The standardized pixels, in the same shape."""
        return (pixels.astype(np.float32) - np.float32(self.mean)) / np.float32(self.std)


# The range of pixels that Keras' networks were trained on.
FIXED = Standardization(127.5, 127.5)


def claim_run(run: Path, recipe: Recipe) -> None:
    """Make `run` the folder of `recipe`; RunError if it belongs to another recipe."""
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise RunError(f"{run}: {failure.strerror}; name another --out") from None
    path = run / RECIPE
    if not path.exists():
        write_json(path, recipe)
    elif read_recipe(run) != recipe:
        raise RunError(f"{run} holds a fit by another recipe; name another --out, or remove it")


def extend_run(run: Path, recipe: Recipe) -> None:
    """Let the fit in `run` continue to the epochs of `recipe`, which otherwise equals its own.

    Its network is removed, so the fit is no longer finished. RunError if `run` holds no fit, or one by another recipe.
    """
    before = read_recipe(run)
    if replace(before, epochs=recipe.epochs) != recipe:
        raise RunError(f"{run} holds a fit by another recipe; --extend changes nothing but --epochs")
    if before.epochs > recipe.epochs:
        raise RunError(f"{run} has {before.epochs} epochs; --extend with at least as many --epochs")
    if before.epochs < recipe.epochs:
        network_file(run, recipe.model).unlink(missing_ok=True)
        write_json(run / RECIPE, recipe)


def is_finished(run: Path, recipe: Recipe) -> bool:
    """Whether `run` holds the finished network of `recipe`."""
    return (run / RECIPE).is_file() and read_recipe(run) == recipe and network_file(run, recipe.model).is_file()


def network_file(run: Path, model: ModelName) -> Path:
    """The file of a run's network. It exists when the fit is finished, and not before."""
    return run / f"{model}.keras"


def read_recipe(run: Path) -> Recipe:
    """The recipe of `run`; RunError if there is none."""
    return _read(run / RECIPE, Recipe)


def read_standardization(run: Path) -> Standardization:
    """The standardization that the network of `run` expects; RunError if `run` has none."""
    if read_recipe(run).standardization == "fixed":
        return FIXED
    return _read(run / STANDARDIZATION, Standardization)


def write_standardization(run: Path, standardization: Standardization) -> None:
    """Keep the standardization beside the recipe of `run`."""
    write_json(run / STANDARDIZATION, standardization)


def _read(path: Path, content: type[_Content]) -> _Content:
    try:
        return msgspec.json.decode(path.read_bytes(), type=content)
    except (OSError, msgspec.DecodeError) as failure:
        reason = failure.strerror if isinstance(failure, OSError) else failure
        raise RunError(f"{path}: {reason}; name the --out of a `training fit`") from None
