"""The recipe of a fit: all the settings that decide its result. No Keras."""

from dataclasses import dataclass, field
from typing import Literal

from worker.perception.preprocessing import Colour

ModelName = Literal["mobilenetv2", "resnet50v2", "inceptionv3", "mobilenetv1"]
Optimizer = Literal["adamw", "adam", "sgd", "rmsprop"]
Schedule = Literal["cosine", "plateau"]
Monitor = Literal["val_accuracy", "val_loss"]
Augmentation = Literal["crop", "study"]
Precision = Literal["float32", "mixed_bfloat16"]
Tune = Literal["all", "head"] | int

IMAGENET = "imagenet"
"""The starting weights that Keras downloads."""

TEACHER: ModelName = "mobilenetv1"
"""The network that is fitted to teach the others, and never served."""

# Keras refuses to build a smaller network: the MobileNets and ResNet50V2 halve the picture five times, InceptionV3 does
# so without padding.
SMALLEST_SIDE: dict[ModelName, int] = {"mobilenetv2": 32, "resnet50v2": 32, "inceptionv3": 75, "mobilenetv1": 32}


class RunError(Exception):
    """A recipe or a run that cannot be used; the message names it and says what to do."""


def in_one_line(failure: Exception) -> str:
    """The message of a library's error, as a part of ours."""
    return " ".join(str(failure).split())[:200]


@dataclass(frozen=True)
class Recipe:
    """The settings of a fit."""

    model: ModelName
    size: int = 96  # side of the input in pixels
    colour: Colour = "grey"
    epochs: int = 12  # at most
    batch: int = 64
    optimizer: Optimizer = "adamw"
    learning_rate: float = 1e-3  # the highest
    schedule: Schedule = "cosine"  # after a warm-up; or a tenth each time `monitor` stops improving (the study, 6.1)
    monitor: Monitor = "val_accuracy"  # the metric that decides which epoch is the best
    patience: int | None = None  # epochs without improvement after which the fit stops
    weight_decay: float = 0.02  # of adamw; the other optimizers have none
    label_smoothing: float = 0.1
    vote_share: float = 0.0  # share of a target that comes from the annotators' votes; the rest is the label
    augmentation: Augmentation = "crop"
    standardization: Literal["fixed", "featurewise"] = "fixed"
    tune: Tune = "all"  # the layers that learn; a number: the head and N layers before it
    teacher: str | None = None  # folder of a finished fit to learn from (training.fitting.feature_distillation)
    targets: str | None = None  # file of soft targets
    # Strength with which rare emotions are learned as if they were as frequent as others; 0 does not change them.
    logit_adjustment: float = 0.0
    mixup: float = 0.0  # alpha of the beta distribution of the shares of two mixed pictures; 0 mixes none
    ema: float | None = None  # momentum of an average over the weights of all steps, which becomes the result
    precision: Precision = "float32"
    seed: int = 1
    # The start: "imagenet", a file (.npz of folded ImageNet kernels, .tflite of `training quantize`, .keras of an
    # earlier fit), or the folder of an earlier fit.
    weights: str | None = None
    train: list[str] = field(default_factory=list)  # folders of pictures
    validation: list[str] = field(default_factory=list)
