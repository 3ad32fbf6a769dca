"""From a run's network to TFLite, in every form that the worker knows.

Post-training quantization as in Jacob et al., 2018: weights per channel, activations by a representative set of
pictures, integers inside, float32 pixels in and float32 logits out. FLOAT_STEM and FLOAT_HEAD stay float32.
"""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from training.datasets import Dataset, FaceArrays, load_faces
from training.provenance import short_path
from training.recipe import TEACHER, Recipe, RunError
from training.run import Standardization, network_file, read_recipe, read_standardization
from training.silence import tensorflow_silenced
from training.whole_file import write_whole
from worker.perception.manifest import Form, Input, Model, file_sha256

FORMS: tuple[Form, ...] = get_args(Form)

# Size of the representative set, the same number of each emotion. The seed makes the same file again.
REPRESENTATIVE = 420
REPRESENTATIVE_SEED = 1

# The number of operators at the beginning of an int8 network that stay float32: in MobileNetV2 the first convolution
# and the first block. They cause 1.3 of the 1.6 points of accuracy that full int8 loses (FER-2013 PublicTest, 96
# pixels, 23 November 2026), and hold hardly any weights.
FLOAT_STEM = 3

# Fully connected operators after the first FLOAT_HEAD stay float32. TFLite quantizes all weights of such an operator
# with one scale. MobileNetV2's later ones hold the scales of the batch norms before them, which differ widely:
# in int8 they cost 0.5 points of accuracy and 0.04 of NLL (5,056 validation pictures, 30 November 2026). In float32
# they add 0.5 MB and 2 % of the time.
FLOAT_HEAD = 1


def make_forms(run: Path, data: Sequence[Dataset], work: Path) -> list[Model]:
    """Convert the network of `run` to every form, as WORK/NAME.FORM.tflite.

    The representative set is drawn from `data`. Returns a manifest entry for each form, named after the form and
    without figures. Raises RunError if `run` holds no network and DatasetError if `data` holds no usable picture.
    """
    recipe, standardization = read_recipe(run), read_standardization(run)
    if recipe.model == TEACHER:
        raise RunError(f"{run}: {TEACHER} is not served; let it teach (`training teach`) and quantize what it taught")
    file = network_file(run, recipe.model)
    if not file.is_file():
        raise RunError(f"{file}: no such file; let `training fit` finish with --out {run}")
    representative = representative_set(load_faces(data, recipe.size, recipe.colour), standardization)
    models = []
    for form, content in _converted(file, representative):
        path = work / f"{recipe.model}.{form}.tflite"
        write_whole(path, partial(Path.write_bytes, data=content))
        models.append(_entry(form, path, recipe, standardization, data))
    return models


def representative_set(faces: FaceArrays, standardization: Standardization) -> npt.NDArray[np.float32]:
    """Standardized pictures, [n, size, size, channels], the same number of each emotion if there are enough."""
    random = np.random.default_rng(REPRESENTATIVE_SEED)
    of_emotion = [np.flatnonzero(faces.labels == label) for label in np.unique(faces.labels)]
    each = REPRESENTATIVE // len(of_emotion)
    chosen = np.concatenate([random.permutation(indices)[:each] for indices in of_emotion])
    return standardization.applied(faces.pixels[random.permutation(chosen)])


def _converted(file: Path, representative: npt.NDArray[np.float32]) -> Iterator[tuple[Form, bytes]]:
    os.environ["KERAS_BACKEND"] = "tensorflow"  # the only one that TFLite's converter reads
    with tensorflow_silenced():
        import tensorflow as tf

        from training.networks.saved import load_network

        try:
            network = load_network(file)
        except ValueError as failure:
            raise RunError(f"{file}: not a network that Keras can load ({failure}); fit it anew") from None
    for form in FORMS:
        converter = tf.lite.TFLiteConverter.from_keras_model(network)
        if form != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if form == "float16":
            converter.target_spec.supported_types = [tf.float16]
        with tensorflow_silenced():
            content: bytes = _int8(converter, representative) if form == "int8" else converter.convert()
        yield form, content


def _int8(converter: Any, representative: npt.NDArray[np.float32]) -> bytes:
    """Full integer, except for stem and head. TensorFlow's tool that leaves operators out is called a debugger."""
    import tensorflow as tf

    def pictures() -> Iterator[list[npt.NDArray[np.float32]]]:
        return ([picture[np.newaxis]] for picture in representative)

    converter.representative_dataset = pictures
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=lambda: islice(pictures(), 1)
    )
    debugger.run()
    statistics = io.StringIO()
    debugger.layer_statistics_dump(statistics)
    statistics.seek(0)
    operators = list(csv.DictReader(statistics))
    connected = [operator for operator in operators if operator["op_name"] == "FULLY_CONNECTED"]
    kept = [operator["tensor_name"] for operator in (*operators[:FLOAT_STEM], *connected[FLOAT_HEAD:])]
    debugger.options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=kept)
    content: bytes = debugger.get_nondebug_quantized_model()
    return content


def _entry(form: Form, path: Path, recipe: Recipe, standardization: Standardization, data: Sequence[Dataset]) -> Model:
    settings: dict[str, Any] = asdict(recipe)
    train = settings.pop("train") or [dataset.name for dataset in data]
    settings["validation"] = [short_path(folder) for folder in recipe.validation]
    settings["teacher"] = short_path(recipe.teacher) if recipe.teacher else None
    settings["targets"] = short_path(recipe.targets) if recipe.targets else None
    settings["weights"] = short_path(recipe.weights) if recipe.weights else None
    return Model(
        name=form,
        file=path.name,
        sha256=file_sha256(path),
        input=Input(recipe.size, recipe.colour, standardization.mean, standardization.std),
        quantization=form,
        weight=1.0,
        training={"data": [short_path(folder) for folder in train], "recipe": settings},
    )
