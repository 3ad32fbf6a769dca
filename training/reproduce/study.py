"""The study's three trainings, and the results that it reports; numbers in brackets are its sections."""

from dataclasses import dataclass, replace

from training.preparing.cropping import DetectorName
from training.recipe import ModelName, Optimizer, Recipe, Tune
from worker.perception.preprocessing import Colour

MODELS: tuple[ModelName, ...] = ("mobilenetv2", "resnet50v2", "inceptionv3")  # 4

# Training pictures of each emotion, before Haar cropping removed a fifth of them (5).
CAP = 4000

# Of KDEF: 100 pictures of each emotion for training, 160 for validation (5).
KDEF_VALIDATION = 160 / 260

# Of FER-2013 (5).
TEST_SHARE = 0.5

# The last layers that learn in fine-tuning. The other two networks were worse with frozen layers (6.2).
TUNED: dict[ModelName, Tune] = {"mobilenetv2": 56, "resnet50v2": "all", "inceptionv3": "all"}
FINE_TUNING_RATE = 1e-5  # 6.2
FINE_TUNING_EPOCHS = 25  # 6.2

# Not in the study: the size of the pictures, and the patience of EarlyStopping.
SIZE = 96
PATIENCE = 10

NOTE = (
    "The study's accuracies exceed every reproducible result on FER-2013, and it does not separate its test sets "
    "clearly: read them as accuracies on easier pictures."
)


@dataclass(frozen=True)
class Reported:
    """The study's result for a network: accuracy, the section, and the loss if it is named."""

    accuracy: float
    where: str
    loss: float | None = None


@dataclass(frozen=True)
class Phase:
    """One of the three trainings. `patience` is None if the study names no early stopping."""

    optimizer: Optimizer
    learning_rate: float
    colour: Colour
    reported: dict[ModelName, Reported]
    batch: int = 32
    epochs: int = 100
    patience: int | None = None
    detector: DetectorName = "mediapipe"


PHASES: dict[int, Phase] = {
    1: Phase(  # 6.3
        optimizer="adam",
        learning_rate=1e-4,
        colour="rgb",
        reported={"mobilenetv2": Reported(0.7500, "6.3")},
        patience=PATIENCE,  # it stopped at epoch 75
    ),
    2: Phase(  # 6.4
        optimizer="sgd",
        learning_rate=0.005,
        colour="grey",
        reported={
            "mobilenetv2": Reported(0.75, "6.4, table 1", 1.26),
            "resnet50v2": Reported(0.43, "6.4, table 1", 1.12),
            "inceptionv3": Reported(0.80, "6.4, table 1; 81 % in text and figure 8", 1.19),
        },
    ),
    3: Phase(  # 6.5
        optimizer="sgd",
        learning_rate=0.005,
        colour="grey",
        reported={"resnet50v2": Reported(0.87, "6.5, figure 9")},
        batch=128,
        detector="haar",
    ),
}


def first_recipe(phase: Phase, model: ModelName, weights: str | None) -> Recipe:
    """The first training of the phase. The base is frozen (6.2), unless it has no starting weights and must learn."""
    return Recipe(
        model=model,
        size=SIZE,
        colour=phase.colour,
        epochs=phase.epochs,
        batch=phase.batch,
        optimizer=phase.optimizer,
        learning_rate=phase.learning_rate,
        schedule="plateau",  # 6.1
        monitor="val_loss",  # 6.1
        patience=phase.patience,
        label_smoothing=0.0,
        augmentation="study",  # 5.4
        standardization="featurewise",  # 5.4
        tune="head" if weights else "all",
        weights=weights,
    )


def fine_tuning_recipe(phase: Phase, model: ModelName, first: str) -> Recipe:
    """The fine-tuning (6.2) of the network in the run `first`.

    Its learning rate is below the minimum of ReduceLROnPlateau, so it never changes.
    """
    return replace(
        first_recipe(phase, model, first),
        epochs=FINE_TUNING_EPOCHS,
        learning_rate=FINE_TUNING_RATE,
        patience=None,
        tune=TUNED[model],
    )
