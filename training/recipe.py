"""What decides the outcome of a fit, kept beside it. Reading one needs no Keras."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from worker.preprocessing import Colour

RECIPE = "recipe.json"

# Pixels x become (x - MEAN) / STD, the range that Keras' MobileNetV2 was trained on.
PIXEL_MEAN = 127.5
PIXEL_STD = 127.5

ModelName = Literal["mobilenetv2", "resnet50v2", "inceptionv3"]


class RunError(Exception):
    """A folder that does not hold the fit that is asked for; one line that names it and says what to do."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a fit comes to.

    `weights` is a file to start from: .npz of folded ImageNet kernels, or .keras of an earlier fit.
    `train` and `validation` name the folders that the pictures came from.
    """

    model: ModelName
    size: int = 96
    colour: Colour = "grey"
    epochs: int = 12
    batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    label_smoothing: float = 0.1
    seed: int = 1
    weights: str | None = None
    train: list[str] = field(default_factory=list)
    validation: list[str] = field(default_factory=list)


def read_recipe(run: Path) -> Recipe:
    """The recipe of the fit in `run`; RunError where there is none."""
    path = run / RECIPE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Recipe)
    except OSError as failure:
        raise RunError(f"{path}: {failure.strerror}; name the --out of a `training fit`") from None
    except msgspec.DecodeError as wrong:
        raise RunError(f"{path}: {wrong}; name the --out of a `training fit`") from None


def claim_run(run: Path, recipe: Recipe) -> None:
    """Make `run` the folder of `recipe`, or find that it is already; RunError where it is another's."""
    run.mkdir(parents=True, exist_ok=True)
    path = run / RECIPE
    if not path.exists():
        path.write_bytes(msgspec.json.format(msgspec.json.encode(asdict(recipe)), indent=2) + b"\n")
    elif read_recipe(run) != recipe:
        raise RunError(f"{run} holds a fit by another recipe; name another --out, or remove it")
