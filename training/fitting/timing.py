"""How long a fit takes on this machine: a few steps, measured before it begins."""

from dataclasses import replace
from timeit import repeat

import keras
import numpy as np

from training.datasets import FaceArrays
from training.fitting.batches import TrainingBatches
from training.fitting.feature_distillation import FeatureTeacher
from training.fitting.fit import build_network, compiled_for_training
from training.networks.architectures import choose_tuned
from training.recipe import Recipe
from training.run import FIXED
from worker.contract.messages import EMOTIONS
from worker.perception.preprocessing import CHANNELS

WARM_UP_STEPS = 2
TIMED_STEPS = 5


def seconds_per_picture(recipe: Recipe, teaching: Recipe | None) -> float:
    """The seconds that a picture takes in a fit by `recipe`, measured on noise.

    The picture is also shown to a teacher with the recipe `teaching`. The first steps compile and are not counted. The
    median step counts, because others may use the machine for a moment.
    """
    n, random = recipe.batch, np.random.default_rng(0)
    pixels, for_teacher = (
        random.integers(0, 256, (n, taken.size, taken.size, CHANNELS[taken.colour]), np.uint8)
        for taken in (recipe, teaching or recipe)
    )
    labels = random.integers(0, len(EMOTIONS), n)
    noise = FaceArrays(pixels, labels, [], np.eye(len(EMOTIONS), dtype=np.float32)[labels], np.ones(n, np.float32))
    recipe = replace(recipe, targets=None)  # noise is in no file of soft targets
    teacher = None if teaching is None else FeatureTeacher(build_network(teaching), FIXED, for_teacher)
    batches = TrainingBatches(noise, recipe, teacher)
    network = build_network(recipe)
    choose_tuned(network, recipe.tune)
    trained = compiled_for_training(network, recipe, FIXED, batches, teacher)
    times = repeat(lambda: trained.train_on_batch(*batches[0]), number=1, repeat=WARM_UP_STEPS + TIMED_STEPS)
    keras.utils.clear_session()
    return float(np.median(times[WARM_UP_STEPS:])) / n
