"""The recipe of a fit: all the settings that decide its result. No Keras."""

from dataclasses import dataclass, field
from typing import Literal

from worker.perception.preprocessing import Colour

ModelName = Literal["mobilenetv2", "resnet50v2", "inceptionv3"]
Optimizer = Literal["adamw", "adam", "sgd", "rmsprop"]
Schedule = Literal["cosine", "plateau"]
Monitor = Literal["val_accuracy", "val_loss"]
Augmentation = Literal["crop", "study"]
Precision = Literal["float32", "mixed_bfloat16"]

IMAGENET = "imagenet"
"""The starting weights that Keras downloads."""

# Keras refuses to build a smaller network: MobileNetV2 and ResNet50V2 halve the picture five times, InceptionV3 does so
# without padding.
SMALLEST_SIDE: dict[ModelName, int] = {"mobilenetv2": 32, "resnet50v2": 32, "inceptionv3": 75}


class RunError(Exception):
    """A recipe or a run that cannot be used; the message names it and says what to do."""


def in_one_line(failure: Exception) -> str:
    """The message of a library's error, as a part of ours."""
    return " ".join(str(failure).split())[:200]


@dataclass(frozen=True)
class Recipe:
    """The settings of a fit.

    `monitor` says by which metric the best epoch is chosen. `schedule` is one cosine after a warm-up, or the study's
    plateau (6.1): a tenth of the learning rate whenever `monitor` has stopped improving. `patience` is the number of
    epochs without improvement after which the fit stops. `weight_decay` is used by adamw only. `tune` says which layers
    learn: all, the head alone, or the head and this number of layers before it. `vote_share` is the share of a target
    that comes from the annotators' votes; the rest comes from the label. `ema` is the momentum of an average over the
    weights of all steps; then the average is measured and kept. `teachers` are folders of earlier fits and `targets` is
    a file of soft targets; most of a target is their mean (see training.fitting.distillation). `mixup` is the alpha of
    the beta distribution from which the shares of two mixed pictures are drawn; 0 mixes none. `weights` is the start:
    "imagenet", a file (.npz of folded ImageNet kernels, .tflite of `training quantize`, .keras of an earlier fit) or an
    earlier fit's folder. `train` and `validation` name the folders of the pictures.
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
