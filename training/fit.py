"""Fitting one network on labelled face pictures, so that it can be killed at any moment and resumed."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from training.augmentation import Augment
from training.averaging import Averaged, take_average
from training.datasets import Faces
from training.display import Display
from training.metrics import confusion
from training.networks import NETWORKS, choose_tuned, load_folded_imagenet, load_imagenet
from training.plots import confusion_matrix, curves, save_picture
from training.progress import Progress
from training.quantized_start import load_quantized
from training.recipe import (
    FIXED,
    IMAGENET,
    Precision,
    Recipe,
    RunError,
    Standardization,
    claim_run,
    fitted_network,
    is_finished,
    read_recipe,
    write_standardization,
    write_whole,
)
from training.teaching import taught
from worker.contract.messages import EMOTIONS
from worker.perception.emotions import softmax
from worker.perception.preprocessing import CHANNELS

# Pictures shown to the network once so that batch norm learns its statistics (see load_folded_imagenet).
STATISTICS_SAMPLE = 256

CURVES, CONFUSION = "curves.png", "confusion.png"

WARM_UP = 0.05  # of all steps, in which the learning rate climbs from a twentieth of what it will be
MEASURED_BATCH = 256

# The study (6.1) names the factor and the minimum of its ReduceLROnPlateau; for how many epochs it waits is Keras' own.
PLATEAU_FACTOR = 0.1
PLATEAU_MINIMUM = 1e-4
PLATEAU_PATIENCE = 10

OPTIMIZERS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {
    "adamw": keras.optimizers.AdamW,
    "adam": keras.optimizers.Adam,
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
}


def fit(recipe: Recipe, train: Faces, validation: Faces, run: Path) -> Path:
    """Train by `recipe`; the network at its best epoch on validation becomes RUN/NAME.keras, which is returned.

    A fit that was killed goes on after its last finished epoch when called again with the same `run`; one that was
    finished is left as it is. Beside the network there will be history.csv, curves.png and confusion.png. The same
    recipe, pictures and backend come to the same network.
    Raises RunError where `run` holds a fit by another recipe, the starting weights cannot be used, the loss is no
    longer a number, or the disk is full.
    """
    if is_finished(run, recipe):
        return fitted_network(run, recipe.model)
    keras.utils.set_random_seed(recipe.seed)
    plateau = _plateau(recipe) if recipe.schedule == "plateau" else None
    progress = Progress(run, recipe, plateau)
    standardization = _standardization(recipe, train)
    network = _network(recipe)
    if recipe.weights is not None and not progress.epochs:
        _load_starting_weights(network, recipe.weights, train, standardization)
    try:
        choose_tuned(network, recipe.tune)
    except ValueError as failure:
        raise RunError(f"--tune {recipe.tune}: {failure}") from None
    claim_run(run, recipe)
    write_standardization(run, standardization)

    pictures = Pictures(train, recipe)
    trained = _in_training(network, recipe, standardization, len(pictures))
    progress.restore(trained)
    if not progress.over:
        averaging = [Averaged(train.pixels, recipe.seed)] if recipe.ema is not None else []
        slowing = [plateau] if plateau is not None else []
        callbacks = [*averaging, *slowing, progress, Drawing(progress, run / CURVES)]
        _train(trained, pictures, validation, callbacks, progress.epochs)
    progress.restore_best(trained)
    if recipe.ema is not None:
        take_average(trained, train.pixels, recipe.seed)
    save_picture(curves(progress.history), run / CURVES)
    save_picture(_confusion_matrix(trained, validation, recipe), run / CONFUSION)
    fitted = fitted_network(run, recipe.model)
    write_whole(fitted, _in_float32(network, recipe).save)
    return fitted


def _train(
    trained: keras.Model,
    pictures: "Pictures",
    validation: Faces,
    callbacks: list[keras.callbacks.Callback],
    done: int,
) -> None:
    epochs = pictures.recipe.epochs
    ordering = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: pictures.shuffle(epoch))
    with Display(epochs, len(pictures), done) as display:
        trained.fit(
            pictures,
            shuffle=False,  # they come shuffled
            initial_epoch=done,
            epochs=epochs,
            validation_data=(validation.pixels, _one_hot(validation)),
            validation_batch_size=MEASURED_BATCH,
            verbose=0,
            callbacks=[ordering, *callbacks, display],
        )


class Pictures(keras.utils.PyDataset):  # type: ignore[misc]  # Keras comes without types
    """Batches of the training pictures: [n, size, size, channels] uint8, targets [n, 7] and weights [n] float32.

    Their order, and what is mixed with what, follow from the recipe's seed and the epoch. Keras would shuffle arrays by
    itself, but after a restart not as it would have without one.
    """

    def __init__(self, faces: Faces, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self._faces = faces
        share = np.float32(recipe.vote_share)
        self._targets = taught(recipe, (1 - share) * _one_hot(faces) + share * faces.votes, faces)
        self.shuffle(0)

    def shuffle(self, epoch: int) -> None:
        """Put the pictures into the order of `epoch`."""
        self._epoch = epoch
        self._order = np.random.default_rng((self.recipe.seed, epoch)).permutation(len(self._faces.labels))

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self.recipe.batch)

    def __getitem__(self, index: int) -> tuple[npt.NDArray[Any], ...]:
        chosen = self._order[index * self.recipe.batch :][: self.recipe.batch]
        pixels, targets, weights = self._faces.pixels[chosen], self._targets[chosen], self._faces.weights[chosen]
        if not self.recipe.mixup:
            return pixels, targets, weights
        random = np.random.default_rng((self.recipe.seed, self._epoch, index))
        return mixed(pixels, targets, weights, self.recipe.mixup, random)


def mixed(
    pixels: npt.NDArray[np.uint8],
    targets: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
    alpha: float,
    random: np.random.Generator,
) -> tuple[npt.NDArray[Any], ...]:
    """Mixup: each picture of a batch with another one of it, pixels, targets and weights alike.

    The share of the picture itself is drawn from Beta(alpha, alpha), for each picture anew. Zhang et al., mixup:
    Beyond Empirical Risk Minimization, 2018, section 2.
    """
    others = random.permutation(len(pixels))
    share = random.beta(alpha, alpha, len(pixels)).astype(np.float32)

    def mix(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        shares = share.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(shares * values + (1 - shares) * values[others], np.float32)

    return np.rint(mix(pixels)).astype(np.uint8), mix(targets), mix(weights)


class Drawing(keras.callbacks.Callback):  # type: ignore[misc]  # Keras comes without types
    """Draws the curves anew after every epoch."""

    def __init__(self, progress: Progress, path: Path) -> None:
        super().__init__()
        self._progress, self._path = progress, path

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        save_picture(curves(self._progress.history), self._path)


def _confusion_matrix(trained: keras.Model, validation: Faces, recipe: Recipe) -> Figure:
    probabilities = softmax(trained.predict(validation.pixels, MEASURED_BATCH, verbose=0))
    title = f"{recipe.model} on {len(validation.labels)} validation pictures"
    return confusion_matrix(confusion(probabilities, validation.labels), title)


def _one_hot(faces: Faces) -> npt.NDArray[np.float32]:
    return np.eye(len(EMOTIONS), dtype=np.float32)[faces.labels]


def _standardization(recipe: Recipe, train: Faces) -> Standardization:
    """The study's (5.4) is one mean and deviation over all training pictures; colours share them, as in a manifest."""
    if recipe.standardization == "fixed":
        return FIXED
    return Standardization(float(train.pixels.mean(dtype=np.float64)), float(train.pixels.std(dtype=np.float64)))


def _network(recipe: Recipe, precision: Precision | None = None) -> keras.Model:
    keras.config.set_dtype_policy(precision or recipe.precision)
    try:
        return NETWORKS[recipe.model](recipe.size, CHANNELS[recipe.colour])
    finally:
        keras.config.set_dtype_policy("float32")


def _in_float32(network: keras.Model, recipe: Recipe) -> keras.Model:
    """The network as it is kept: all layers may learn again, and none computes in halves."""
    kept = network if recipe.precision == "float32" else _network(recipe, "float32")
    kept.set_weights(network.get_weights())
    kept.trainable = True
    return kept


def _in_training(
    network: keras.Model, recipe: Recipe, standardization: Standardization, steps_an_epoch: int
) -> keras.Model:
    """`network` behind augmentation and standardization, ready to be trained."""
    trained = keras.Sequential(
        [
            keras.Input(network.input.shape[1:], dtype="uint8"),
            Augment(recipe.seed, recipe.augmentation),
            keras.layers.Rescaling(1 / standardization.std, -standardization.mean / standardization.std),
            network,
        ]
    )
    trained.compile(
        _optimizer(recipe, steps_an_epoch * recipe.epochs),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
    )
    return trained


def _optimizer(recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
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
        # Decay is for kernels; pulling batch norm's scales towards nothing helps nobody (He et al., 2019, section 3.1).
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer


def _plateau(recipe: Recipe) -> keras.callbacks.ReduceLROnPlateau:
    return keras.callbacks.ReduceLROnPlateau(
        monitor=recipe.monitor,
        mode="min" if recipe.monitor == "val_loss" else "max",
        factor=PLATEAU_FACTOR,
        min_lr=PLATEAU_MINIMUM,
        patience=PLATEAU_PATIENCE,
    )


def _load_starting_weights(network: keras.Model, weights: str, train: Faces, standardization: Standardization) -> None:
    if weights == IMAGENET:
        try:
            return load_imagenet(network)
        except OSError as failure:
            raise RunError(
                f"--weights imagenet: no download ({_in_one_line(failure)}); pass a .npz or .keras file, or none"
            ) from None
    path = Path(weights)
    try:
        if path.suffix in (".npz", ".tflite"):
            random = np.random.default_rng(0)
            chosen = random.permutation(len(train.labels))[:STATISTICS_SAMPLE]
            load = load_quantized if path.suffix == ".tflite" else load_folded_imagenet
            load(network, path, standardization.applied(train.pixels[chosen]))
        else:
            file = fitted_network(path, read_recipe(path).model) if path.is_dir() else path
            network.set_weights(keras.models.load_model(file, compile=False).get_weights())
    except (OSError, ValueError) as failure:
        reason = _in_one_line(failure)
        raise RunError(f"--weights {path}: no starting weights for {network.name} ({reason})") from None


def _in_one_line(failure: Exception) -> str:
    return " ".join(str(failure).split())[:200]
