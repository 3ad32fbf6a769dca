"""What decides the outcome of a fit, and the folder that it is kept in. Reading either needs no Keras."""

import errno
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from worker.perception.preprocessing import Colour

RECIPE = "recipe.json"
STANDARDIZATION = "standardization.json"

ModelName = Literal["mobilenetv2", "resnet50v2", "inceptionv3"]
Optimizer = Literal["adamw", "adam", "sgd", "rmsprop"]
Schedule = Literal["cosine", "plateau"]
Monitor = Literal["val_accuracy", "val_loss"]
Augmentation = Literal["crop", "study"]
Precision = Literal["float32", "mixed_bfloat16"]

IMAGENET = "imagenet"
"""The starting weights that Keras downloads."""

# Keras refuses to build them smaller: MobileNetV2 and ResNet50V2 halve the picture five times, InceptionV3 does so
# without padding.
SMALLEST_SIDE: dict[ModelName, int] = {"mobilenetv2": 32, "resnet50v2": 32, "inceptionv3": 75}

_Form = TypeVar("_Form")

_WHITESPACE_OF_JSON = 2

# What failures say where there is no room; HDF5's have no number when it finds out on closing a file.
_DISK_FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))


class RunError(Exception):
    """A folder that does not hold the fit that is asked for; one line that names it and says what to do."""


@dataclass(frozen=True)
class Standardization:
    """Pixels x of 0 to 255 become (x - mean) / std."""

    mean: float
    std: Annotated[float, Meta(gt=0)]

    def applied(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Pixels of any shape as the network wants them, in the same shape."""
        return (pixels.astype(np.float32) - np.float32(self.mean)) / np.float32(self.std)


# The range that Keras' networks were trained on.
FIXED = Standardization(127.5, 127.5)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a fit comes to.

    `monitor` is what the best epoch is best at. `schedule` is one cosine after a warm-up, or the study's (6.1): a
    tenth whenever `monitor` has stopped improving. `patience` is after how many epochs without improvement the fit
    stops. `weight_decay` is adamw's. `tune` says which layers learn: all, the head alone, or the head and so many of
    the last layers before it. `vote_share` is how much of the target comes from what annotators voted, the rest from
    the label. `ema` is the momentum of an average over the weights of all steps, which is then what is measured and
    kept. `teachers` are folders of earlier fits and `targets` is a file of soft targets; most of the target is their
    mean (see training.teaching). `mixup` is the alpha of the beta distribution that the shares of two mixed pictures
    are drawn from; 0 mixes none. `weights` is what to start from: "imagenet", a file (.npz of folded ImageNet kernels,
    .tflite of `training quantize`, .keras of an earlier fit) or an earlier fit's folder. `train` and `validation` name
    the folders that the pictures came from.
    """

    model: ModelName
    size: int = 96
    colour: Colour = "grey"
    epochs: int = 12
    batch: int = 64
    optimizer: Optimizer = "adamw"
    learning_rate: float = 1e-3
    schedule: Schedule = "cosine"
    monitor: Monitor = "val_accuracy"
    patience: int | None = None
    weight_decay: float = 0.02
    label_smoothing: float = 0.1
    vote_share: float = 0.0
    augmentation: Augmentation = "crop"
    standardization: Literal["fixed", "featurewise"] = "fixed"
    tune: Literal["all", "head"] | int = "all"
    teachers: list[str] = field(default_factory=list)
    targets: str | None = None
    mixup: float = 0.0
    ema: float | None = None
    precision: Precision = "float32"
    seed: int = 1
    weights: str | None = None
    train: list[str] = field(default_factory=list)
    validation: list[str] = field(default_factory=list)


def read_recipe(run: Path) -> Recipe:
    """The recipe of the fit in `run`; RunError where there is none."""
    return _read(run / RECIPE, Recipe)


def extend_run(run: Path, recipe: Recipe) -> None:
    """Let the fit in `run` continue to the epochs of `recipe`, which is otherwise its own.

    Its network goes, so that the fit is no longer finished. RunError where `run` holds no fit, or one by another
    recipe.
    """
    before = read_recipe(run)
    if replace(before, epochs=recipe.epochs) != recipe:
        raise RunError(f"{run} holds a fit by another recipe; --extend changes nothing but --epochs")
    if before.epochs > recipe.epochs:
        raise RunError(f"{run} has {before.epochs} epochs; --extend with at least as many --epochs")
    if before.epochs < recipe.epochs:
        fitted_network(run, recipe.model).unlink(missing_ok=True)
        _write(run / RECIPE, recipe)


def claim_run(run: Path, recipe: Recipe) -> None:
    """Make `run` the folder of `recipe`, or find that it is already; RunError where it is another's."""
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise RunError(f"{run}: {failure.strerror}; name another --out") from None
    path = run / RECIPE
    if not path.exists():
        _write(path, recipe)
    elif read_recipe(run) != recipe:
        raise RunError(f"{run} holds a fit by another recipe; name another --out, or remove it")


def fitted_network(run: Path, model: ModelName) -> Path:
    """Where a finished fit keeps its network; the file is there when the fit is finished, and not before."""
    return run / f"{model}.keras"


def is_finished(run: Path, recipe: Recipe) -> bool:
    """Whether `run` holds the network that `recipe` came to."""
    return (run / RECIPE).is_file() and read_recipe(run) == recipe and fitted_network(run, recipe.model).is_file()


def read_standardization(run: Path) -> Standardization:
    """How the network fitted in `run` wants its pixels; RunError where `run` does not say."""
    if read_recipe(run).standardization == "fixed":
        return FIXED
    return _read(run / STANDARDIZATION, Standardization)


def write_standardization(run: Path, standardization: Standardization) -> None:
    """Keep it beside the recipe of `run`."""
    _write(run / STANDARDIZATION, standardization)


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` make `path`, which appears when it is whole and never before.

    Raises RunError, and leaves nothing of the new file behind, where the disk is full or cannot be written.
    """
    unfinished = path.with_name(f"unfinished-{path.name}")
    try:
        write(unfinished)
        unfinished.replace(path)
    except (OSError, RuntimeError) as failure:
        unfinished.unlink(missing_ok=True)
        if any(reason in str(failure) for reason in _DISK_FULL):
            why = f"no space left to write {path.name}; make some and run the same command again"
        elif isinstance(failure, OSError):
            why = f"{path.name} cannot be written ({failure.strerror or failure}); name another --out"
        else:
            raise
        raise RunError(f"{path.parent}: {why}") from None


def _read(path: Path, form: type[_Form]) -> _Form:
    try:
        return msgspec.json.decode(path.read_bytes(), type=form)
    except OSError as failure:
        raise RunError(f"{path}: {failure.strerror}; name the --out of a `training fit`") from None
    except msgspec.DecodeError as wrong:
        raise RunError(f"{path}: {wrong}; name the --out of a `training fit`") from None


def _write(path: Path, value: Any) -> None:
    text = msgspec.json.format(msgspec.json.encode(asdict(value)), indent=_WHITESPACE_OF_JSON) + b"\n"
    write_whole(path, lambda unfinished: unfinished.write_bytes(text))
