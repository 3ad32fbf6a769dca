"""The optimizer of a recipe, and its learning rate over time."""

from collections.abc import Callable
from typing import Any

import keras

from training.recipe import Recipe

WARM_UP = 0.05  # during this share of the steps the learning rate climbs from a twentieth of its peak

# The study (6.1) names the factor and the minimum of its ReduceLROnPlateau; the patience is Keras' default.
PLATEAU_FACTOR = 0.1
PLATEAU_MINIMUM = 1e-4
PLATEAU_PATIENCE = 10

OPTIMIZERS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {
    "adamw": keras.optimizers.AdamW,
    "adam": keras.optimizers.Adam,
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
}


def make_optimizer(recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    """The optimizer for a fit of `steps` steps in all."""
    rate: Any = recipe.learning_rate
    if recipe.schedule == "cosine":
        warm_up = max(1, round(steps * WARM_UP))
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=recipe.learning_rate / 20,
            warmup_target=recipe.learning_rate,
            warmup_steps=warm_up,
            decay_steps=max(1, steps - warm_up),
        )
    options: dict[str, Any] = {} if recipe.ema is None else {"use_ema": True, "ema_momentum": recipe.ema}
    if recipe.optimizer == "adamw":
        options["weight_decay"] = recipe.weight_decay
    optimizer = OPTIMIZERS[recipe.optimizer](rate, **options)
    if recipe.optimizer == "adamw":
        # Only kernels decay (He et al., Bag of Tricks, 2019, section 3.1).
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer


def make_plateau(recipe: Recipe) -> keras.callbacks.ReduceLROnPlateau:
    """The callback that lowers the learning rate of the schedule "plateau"."""
    return keras.callbacks.ReduceLROnPlateau(
        monitor=recipe.monitor,
        mode="min" if recipe.monitor == "val_loss" else "max",
        factor=PLATEAU_FACTOR,
        min_lr=PLATEAU_MINIMUM,
        patience=PLATEAU_PATIENCE,
    )
