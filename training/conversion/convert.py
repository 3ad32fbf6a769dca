"""From a fitted network to the TFLite file that the worker runs, and what that costs in accuracy.

Post-training quantization as Jacob et al. (2018) describe it: weights per channel, activations by what a
representative set of pictures brings up, integers inside, float32 pixels in and float32 logits out. The first
operators stay float32: see FLOAT_STEM.
"""

import csv
import io
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import msgspec
import numpy as np
import numpy.typing as npt
from rich.table import Table
from scipy.optimize import minimize_scalar

from training.datasets import Dataset, Faces, load_faces
from training.measuring.evaluation import read_pictures
from training.measuring.metrics import Labels, Shares, measure, negative_log_likelihood
from training.recipe import FIXED, Recipe, RunError, Standardization, fitted_network, read_recipe, read_standardization
from training.silence import tensorflow_silenced
from worker.contract.messages import EMOTIONS
from worker.perception.emotions import Ensemble, Probabilities, calibrate
from worker.perception.manifest import (
    MANIFEST,
    VERSION,
    Form,
    Input,
    Manifest,
    Model,
    file_sha256,
    load_manifest,
    write_manifest,
)

FORMS: tuple[Form, ...] = get_args(Form)
REFERENCE: Form = "float32"

# Pictures of the representative set, the same number of each emotion; fixed, so that a file can be made again.
REPRESENTATIVE = 420
REPRESENTATIVE_SEED = 1

# The operators at the beginning of an int8 network that stay float32. In MobileNetV2 these are the first convolution
# and the first block: of the 1.6 points that full int8 loses on PublicTest (0.6450 for 0.6606, 96 pixels, 23 November
# 2026) they account for 1.3; the head, for one, for none. They hold hardly any weights, so the file stays as small.
FLOAT_STEM = 3

TIMED_FACES = 64
TIMED_RUNS = 3

TEMPERATURES = (0.05, 20.0)
"""Where the best temperature is looked for."""


@dataclass(frozen=True)
class FormFigures:
    """One form of a network on the validation pictures.

    `agreement` is the share of pictures that the form and float32 read alike, `size` is in bytes, `ms_per_face` is
    processor time on one thread, preprocessing included.
    """

    accuracy: float
    agreement: float
    nll: float
    size: int
    ms_per_face: float


class AccuracyLost(Exception):
    """The form that was asked for loses more accuracy than allowed; the message says how much."""


def make_forms(run: Path, data: Sequence[Dataset], work: Path) -> list[Model]:
    """Convert the network fitted in `run` to every form, as WORK/NAME.FORM.tflite.

    The representative set comes out of `data`. Returns a manifest entry for each, named after its form, without
    figures. Raises RunError where `run` holds no network and DatasetError where `data` holds no picture.
    """
    recipe, standardization = read_recipe(run), read_standardization(run)
    fitted = fitted_network(run, recipe.model)
    if not fitted.is_file():
        raise RunError(f"{fitted}: no such file; let `training fit` finish with --out {run}")
    representative = representative_set(load_faces(data, recipe.size, recipe.colour), standardization)
    work.mkdir(parents=True, exist_ok=True)
    models = []
    for form, content in _converted(fitted, representative):
        path = work / f"{recipe.model}.{form}.tflite"
        path.write_bytes(content)
        models.append(_entry(form, path, recipe, standardization, data))
    return models


def representative_set(faces: Faces, standardization: Standardization = FIXED) -> npt.NDArray[np.float32]:
    """Pictures drawn evenly over the emotions that there are, normalised: [n, size, size, channels]."""
    random = np.random.default_rng(REPRESENTATIVE_SEED)
    of_emotion = [np.flatnonzero(faces.labels == label) for label in np.unique(faces.labels)]
    each = REPRESENTATIVE // len(of_emotion)
    chosen = np.concatenate([random.permutation(indices)[:each] for indices in of_emotion])
    return standardization.applied(faces.pixels[random.permutation(chosen)])


def measure_forms(models: Sequence[Model], work: Path, validation: Dataset) -> dict[Form, FormFigures]:
    """Run every form in `work` through the worker's interpreter, over the same pictures."""
    together = Ensemble(_manifest(models), work)
    readings, labels = read_pictures(together, validation)
    reference = readings.by_model[REFERENCE].argmax(axis=1)
    figures = {}
    for model in models:
        probabilities = readings.by_model[model.name]
        figures[model.quantization] = FormFigures(
            accuracy=float((probabilities.argmax(axis=1) == labels).mean()),
            agreement=float((probabilities.argmax(axis=1) == reference).mean()),
            nll=negative_log_likelihood(probabilities, labels),
            size=(work / model.file).stat().st_size,
            ms_per_face=_ms_per_face(Ensemble(_manifest([model]), work), validation),
        )
    return figures


def forms_table(name: str, figures: dict[Form, FormFigures]) -> Table:
    """The figures for a terminal."""
    table = Table(title=f"{name} on the validation pictures")
    for heading in ("form", "accuracy", "agrees with float32", "NLL", "megabytes", "ms a face"):
        table.add_column(heading, justify="left" if heading == "form" else "right")
    for form, f in figures.items():
        table.add_row(
            form,
            f"{f.accuracy:.4f}",
            f"{f.agreement:.4f}",
            f"{f.nll:.4f}",
            f"{f.size / 1e6:.2f}",
            f"{f.ms_per_face:.2f}",
        )
    return table


def refuse_loss(form: Form, figures: dict[Form, FormFigures], max_loss: float) -> None:
    """AccuracyLost where `form` is right on more than `max_loss` fewer of the pictures than float32."""
    loss = figures[REFERENCE].accuracy - figures[form].accuracy
    if loss > max_loss:
        raise AccuracyLost(
            f"{form} loses {loss:.4f} of accuracy ({figures[form].accuracy:.4f}, {REFERENCE} "
            f"{figures[REFERENCE].accuracy:.4f}), more than --max-loss {max_loss:g}; nothing was installed, "
            "choose another --form"
        )


def install(
    name: str, made: Model, work: Path, models: Path, validation: Dataset, figures: dict[Form, FormFigures]
) -> Manifest:
    """Put the form `made` of the network `name` into the folder `models`, beside the other networks that it has.

    The temperature is fitted anew, to what all of them say together on the validation pictures. The weights and the
    threshold that `training ensemble` fitted to the networks that were there before go, and so does the file that the
    network had before, if it had another name. Returns the manifest as written; ManifestError where the one
    that is there cannot be used.
    """
    models.mkdir(parents=True, exist_ok=True)
    before = load_manifest(models).models if (models / MANIFEST).exists() else []
    others = [msgspec.structs.replace(model, weight=1.0) for model in before if model.name != name]
    unfinished = models / f"{made.file}.unfinished"
    unfinished.write_bytes((work / made.file).read_bytes())
    unfinished.replace(models / made.file)

    entry = msgspec.structs.replace(made, name=name)
    readings, labels = read_pictures(Ensemble(_manifest([*others, entry]), models), validation)
    measured = {
        "date": date.today().isoformat(),
        "validation": _short(validation.name),
        "n": len(labels),
        "macro_recall": measure(readings.by_model[name], labels).macro_recall,
        "forms": {form: asdict(f) for form, f in figures.items()},
    }
    manifest = msgspec.structs.replace(
        _manifest([*others, msgspec.structs.replace(entry, figures=measured)]),
        temperature=round(fit_temperature(readings.scores, labels), 4),
    )
    write_manifest(manifest, models)
    for model in before:
        if model.name == name and model.file != made.file:
            (models / model.file).unlink()
    return manifest


def fit_temperature(probabilities: Probabilities, labels: Labels, shares: Shares | None = None) -> float:
    """The temperature that makes the calibrated [n, 7] probabilities most likely of the [n] labels.

    A picture counts by its share, [n], or as much as any other.
    """

    def nll(log_temperature: float) -> float:
        return negative_log_likelihood(calibrate(probabilities, float(np.exp(log_temperature))), labels, shares)

    return float(np.exp(minimize_scalar(nll, bounds=np.log(TEMPERATURES), method="bounded").x))


def _converted(fitted: Path, representative: npt.NDArray[np.float32]) -> Iterator[tuple[Form, bytes]]:
    os.environ["KERAS_BACKEND"] = "tensorflow"  # the only one that TFLite's converter reads
    with tensorflow_silenced():
        import keras
        import tensorflow as tf

        try:
            network = keras.models.load_model(fitted, compile=False)
        except (OSError, ValueError) as failure:
            reason = " ".join(str(failure).split())[:200]
            raise RunError(f"{fitted}: not a network that Keras can load ({reason}); fit it anew") from None
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
    """Full integer but for the stem. TensorFlow calls the tool that leaves operators out a debugger."""
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
    stem = [row["tensor_name"] for row in islice(csv.DictReader(statistics), FLOAT_STEM)]
    debugger.options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=stem)
    content: bytes = debugger.get_nondebug_quantized_model()
    return content


def _entry(form: Form, path: Path, recipe: Recipe, standardization: Standardization, data: Sequence[Dataset]) -> Model:
    made_of: dict[str, Any] = asdict(recipe)
    train = made_of.pop("train") or [dataset.name for dataset in data]
    made_of["validation"] = [_short(folder) for folder in recipe.validation]
    made_of["teachers"] = [_short(run) for run in recipe.teachers]
    made_of["targets"] = _short(recipe.targets) if recipe.targets else None
    made_of["weights"] = _short(recipe.weights) if recipe.weights else None
    return Model(
        name=form,
        file=path.name,
        sha256=file_sha256(path),
        input=Input(recipe.size, recipe.colour, standardization.mean, standardization.std),
        quantization=form,
        weight=1.0,
        training={"data": [_short(folder) for folder in train], "recipe": made_of},
    )


def _manifest(models: Sequence[Model]) -> Manifest:
    return Manifest(VERSION, list(EMOTIONS), 1.0, list(models))


def _short(path: str) -> str:
    """The end of a path, which says what it is without saying whose machine it was on."""
    return "/".join(Path(path).parts[-2:])


def _ms_per_face(ensemble: Ensemble, dataset: Dataset) -> float:
    images = [image for picture in dataset.pictures[:TIMED_FACES] if (image := picture.pixels()) is not None]
    ensemble.predict(images)
    best = float("inf")
    for _ in range(TIMED_RUNS):
        started = time.process_time()
        ensemble.predict(images)
        best = min(best, time.process_time() - started)
    return best * 1000 / len(images)
