"""Measuring the forms of a network, the cost of each in accuracy, bytes and time, and installing one."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from itertools import islice
from pathlib import Path

import msgspec
from rich.table import Table

from training.datasets import Dataset
from training.measuring.evaluation_output import number_table
from training.measuring.metrics import accuracy, measure, negative_log_likelihood
from training.measuring.predictions import ms_per_face, predict_dataset
from training.provenance import short_path
from training.weighing.weights import DIGITS, fit_temperature
from training.whole_file import write_whole
from worker.contract.messages import EMOTIONS
from worker.perception.emotions import Ensemble
from worker.perception.manifest import MANIFEST, VERSION, Form, Manifest, Model, load_manifest, write_manifest

REFERENCE: Form = "float32"

TIMED_FACES = 64


@dataclass(frozen=True)
class FormMetrics:
    """One form of a network on the validation pictures.

    `agreement` is the share of pictures for which the form and float32 predict the same emotion, `size` is in bytes,
    and `ms_per_face` is processor time on one thread, preprocessing included.
    """

    accuracy: float
    agreement: float
    nll: float
    size: int
    ms_per_face: float


def measure_forms(models: Sequence[Model], work: Path, validation: Dataset) -> dict[Form, FormMetrics]:
    """Run every form in `work` through the worker's interpreter, on the same pictures."""
    predictions, labels = predict_dataset(Ensemble(_manifest(models), work), validation)
    reference = predictions.by_model[REFERENCE].argmax(axis=1)
    readable = (image for picture in validation.pictures if (image := picture.pixels()) is not None)
    images = list(islice(readable, TIMED_FACES))
    metrics = {}
    for model in models:
        probabilities = predictions.by_model[model.name]
        metrics[model.quantization] = FormMetrics(
            accuracy=accuracy(probabilities, labels),
            agreement=accuracy(probabilities, reference),
            nll=negative_log_likelihood(probabilities, labels),
            size=(work / model.file).stat().st_size,
            ms_per_face=ms_per_face(Ensemble(_manifest([model]), work), images),
        )
    return metrics


def forms_table(name: str, metrics: dict[Form, FormMetrics]) -> Table:
    """The metrics for a terminal."""
    headings = ("accuracy", "agrees with float32", "NLL", "megabytes", "ms per face")
    table = number_table(f"{name} on the validation pictures", "form", *headings)
    for form, m in metrics.items():
        shares = (f"{value:.4f}" for value in (m.accuracy, m.agreement, m.nll))
        table.add_row(form, *shares, f"{m.size / 1e6:.2f}", f"{m.ms_per_face:.2f}")
    return table


def excessive_loss(form: Form, metrics: dict[Form, FormMetrics], max_loss: float) -> str | None:
    """An error message if the accuracy of `form` is more than `max_loss` below that of float32, else None."""
    before, after = metrics[REFERENCE].accuracy, metrics[form].accuracy
    if before - after <= max_loss:
        return None
    return (
        f"{form} loses {before - after:.4f} of accuracy ({after:.4f}, {REFERENCE} {before:.4f}), more than "
        f"--max-loss {max_loss:g}; nothing was installed, choose another --form"
    )


def install(
    name: str, form: Model, work: Path, models: Path, validation: Dataset, metrics: dict[Form, FormMetrics]
) -> Manifest:
    """Put `form` of the network `name` into the folder `models`, beside the other networks there.

    The temperature is fitted anew, to the predictions of all networks together for the validation pictures. Weights and
    threshold of `training ensemble` are dropped, because they were fitted to the networks before. The old file of the
    network is removed if its name differs. Returns the written manifest; ManifestError if there is one already that
    cannot be used.
    """
    before = load_manifest(models).models if (models / MANIFEST).exists() else []
    others = [msgspec.structs.replace(model, weight=1.0) for model in before if model.name != name]
    write_whole(models / form.file, partial(shutil.copyfile, work / form.file))

    entry = msgspec.structs.replace(form, name=name)
    predictions, labels = predict_dataset(Ensemble(_manifest([*others, entry]), models), validation)
    figures = {
        "date": date.today().isoformat(),
        "validation": short_path(validation.name),
        "n": len(labels),
        "macro_recall": measure(predictions.by_model[name], labels).macro_recall,
        "forms": {quantization: asdict(of_form) for quantization, of_form in metrics.items()},
    }
    manifest = msgspec.structs.replace(
        _manifest([*others, msgspec.structs.replace(entry, figures=figures)]),
        temperature=round(fit_temperature(predictions.scores, labels), DIGITS),
    )
    write_manifest(manifest, models)
    for model in before:
        if model.name == name and model.file != form.file:
            (models / model.file).unlink()
    return manifest


def _manifest(models: Sequence[Model]) -> Manifest:
    """A manifest of these models with temperature 1."""
    return Manifest(VERSION, list(EMOTIONS), 1.0, list(models))
