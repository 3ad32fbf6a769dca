"""Fitting one network on labelled face pictures, so that the fit can be killed at any moment and resumed."""

from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from training.datasets import FaceArrays
from training.fitting.averaging import AveragedWeights, take_average
from training.fitting.batches import TrainingBatches, one_hot
from training.fitting.charts import confusion_matrix, curves, save_chart
from training.fitting.checkpoints import Checkpoints
from training.fitting.feature_distillation import FeatureTeacher, Taught, read_teacher, rescaled
from training.fitting.logit_adjustment import AdjustedLogits
from training.fitting.optimizer import make_optimizer, make_plateau
from training.fitting.progress_display import ProgressDisplay
from training.fitting.starting_weights import load_starting_weights
from training.measuring.metrics import confusion
from training.networks.architectures import NETWORKS, choose_tuned
from training.networks.augmentation import Augment
from training.recipe import Precision, Recipe, RunError
from training.run import FIXED, Standardization, claim_run, is_finished, network_file, write_standardization
from training.whole_file import write_whole
from worker.perception.emotions import softmax
from worker.perception.preprocessing import CHANNELS

CURVES, CONFUSION = "curves.png", "confusion.png"

VALIDATION_BATCH = 256


def fit(
    recipe: Recipe,
    train: FaceArrays,
    validation: FaceArrays,
    run: Path,
    for_teacher: npt.NDArray[np.uint8] | None = None,
) -> Path:
    """Fit a network by `recipe`. Its best epoch on validation becomes RUN/NAME.keras, which is returned.

    Beside it are history.csv, curves.png and confusion.png. If the fit is killed, the same call resumes it after its
    last finished epoch; a finished fit is left as it is. The same recipe, pictures and backend give the same network.
    `for_teacher` are the pictures of `train` in the size and colour of the recipe's teacher.
    Raises RunError if `run` holds a fit by another recipe, the starting weights or the teacher cannot be used, the loss
    becomes infinite or NaN, or the disk is full.
    """
    if is_finished(run, recipe):
        return network_file(run, recipe.model)
    keras.utils.set_random_seed(recipe.seed)
    plateau = make_plateau(recipe) if recipe.schedule == "plateau" else None
    checkpoints = Checkpoints(run, recipe, plateau)
    standardization = _standardization(recipe, train)
    network = build_network(recipe)
    if recipe.weights is not None and not checkpoints.epochs:
        load_starting_weights(network, recipe.weights, train, standardization)
    teacher = read_teacher(recipe, for_teacher)
    try:
        choose_tuned(network, recipe.tune)
    except ValueError as failure:
        raise RunError(f"--tune {recipe.tune}: {failure}") from None
    claim_run(run, recipe)
    write_standardization(run, standardization)

    batches = TrainingBatches(train, recipe, teacher)
    trained = compiled_for_training(network, recipe, standardization, batches, teacher)
    checkpoints.restore(trained)
    if not checkpoints.over:
        done = checkpoints.epochs
        display = ProgressDisplay(recipe.epochs, len(batches), done)
        with display.bar:
            on_epoch = keras.callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, _: batches.shuffle(epoch),
                on_epoch_end=lambda *_: save_chart(curves(checkpoints.history), run / CURVES),
            )
            averaging = [] if recipe.ema is None else [AveragedWeights(train.pixels, recipe.seed)]
            slowing = [] if plateau is None else [plateau]
            trained.fit(
                batches,
                shuffle=False,  # `batches` are shuffled already
                initial_epoch=done,
                epochs=recipe.epochs,
                validation_data=(validation.pixels, one_hot(validation)),
                validation_batch_size=VALIDATION_BATCH,
                verbose=0,
                callbacks=[*averaging, *slowing, checkpoints, on_epoch, display],
            )
    checkpoints.restore_best(trained)
    if recipe.ema is not None:
        take_average(trained, train.pixels, recipe.seed)
    save_chart(curves(checkpoints.history), run / CURVES)
    probabilities = softmax(trained.predict(validation.pixels, VALIDATION_BATCH, verbose=0))
    title = f"{recipe.model} on {len(validation.labels)} validation pictures"
    save_chart(confusion_matrix(confusion(probabilities, validation.labels), title), run / CONFUSION)
    file = network_file(run, recipe.model)
    write_whole(file, _in_float32(network, recipe).save)
    return file


def _standardization(recipe: Recipe, train: FaceArrays) -> Standardization:
    """The study (5.4) takes mean and deviation of all training pictures; one for all colours, as in a manifest."""
    if recipe.standardization == "fixed":
        return FIXED
    return Standardization(float(train.pixels.mean(dtype=np.float64)), float(train.pixels.std(dtype=np.float64)))


def build_network(recipe: Recipe, precision: Precision | None = None) -> keras.Model:
    """The network of a recipe with random weights, in its precision or another."""
    keras.config.set_dtype_policy(precision or recipe.precision)
    try:
        return NETWORKS[recipe.model](recipe.size, CHANNELS[recipe.colour])
    finally:
        keras.config.set_dtype_policy("float32")


def compiled_for_training(
    network: keras.Model,
    recipe: Recipe,
    standardization: Standardization,
    batches: TrainingBatches,
    teacher: FeatureTeacher | None = None,
) -> keras.Model:
    """`network` behind augmentation and standardization, ready to be trained on the batches."""
    augment = Augment(recipe.seed, recipe.augmentation)
    rescaling = rescaled(standardization)
    adjust = AdjustedLogits(recipe.logit_adjustment, batches.priors.tolist())
    if teacher is None:
        given = keras.Input(network.input.shape[1:], dtype="uint8")
        trained = keras.Sequential([given, augment, rescaling, network, adjust])
    else:
        trained = Taught(network, augment, rescaling, adjust, teacher)
        trained(batches[0][0])  # creates the variables
    trained.compile(
        make_optimizer(recipe, len(batches) * recipe.epochs),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
    )
    return trained


def _in_float32(network: keras.Model, recipe: Recipe) -> keras.Model:
    """The network as it is kept: every layer computes in float32 and may learn again."""
    kept = network if recipe.precision == "float32" else build_network(recipe, "float32")
    kept.set_weights(network.get_weights())
    kept.trainable = True
    return kept
