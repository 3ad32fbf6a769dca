"""Measuring the forms of a network: the cost of each in accuracy, bytes and time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from training.datasets import Dataset
from training.measuring.metrics import accuracy, negative_log_likelihood
from training.measuring.predictions import ms_per_face, predict_dataset
from worker.contract.messages import EMOTIONS
from worker.perception.emotions import Ensemble
from worker.perception.manifest import VERSION, Form, Manifest, Model

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


class AccuracyLost(Exception):
    """The chosen form loses more accuracy than allowed; the message says how much."""


def measure_forms(models: Sequence[Model], work: Path, validation: Dataset) -> dict[Form, FormMetrics]:
    """Run every form in `work` through the worker's interpreter, on the same pictures."""
    predictions, labels = predict_dataset(Ensemble(new_manifest(models), work), validation)
    reference = predictions.by_model[REFERENCE].argmax(axis=1)
    images = [image for picture in validation.pictures[:TIMED_FACES] if (image := picture.pixels()) is not None]
    metrics = {}
    for model in models:
        probabilities = predictions.by_model[model.name]
        metrics[model.quantization] = FormMetrics(
            accuracy=accuracy(probabilities, labels),
            agreement=accuracy(probabilities, reference),
            nll=negative_log_likelihood(probabilities, labels),
            size=(work / model.file).stat().st_size,
            ms_per_face=ms_per_face(Ensemble(new_manifest([model]), work), images),
        )
    return metrics


def forms_table(name: str, metrics: dict[Form, FormMetrics]) -> Table:
    """The metrics for a terminal."""
    table = Table(title=f"{name} on the validation pictures")
    for heading in ("form", "accuracy", "agrees with float32", "NLL", "megabytes", "ms per face"):
        table.add_column(heading, justify="left" if heading == "form" else "right")
    for form, m in metrics.items():
        cells = (
            f"{m.accuracy:.4f}",
            f"{m.agreement:.4f}",
            f"{m.nll:.4f}",
            f"{m.size / 1e6:.2f}",
            f"{m.ms_per_face:.2f}",
        )
        table.add_row(form, *cells)
    return table


def refuse_loss(form: Form, metrics: dict[Form, FormMetrics], max_loss: float) -> None:
    """AccuracyLost if the accuracy of `form` is more than `max_loss` below that of float32."""
    loss = metrics[REFERENCE].accuracy - metrics[form].accuracy
    if loss > max_loss:
        raise AccuracyLost(
            f"{form} loses {loss:.4f} of accuracy ({metrics[form].accuracy:.4f}, {REFERENCE} "
            f"{metrics[REFERENCE].accuracy:.4f}), more than --max-loss {max_loss:g}; nothing was installed, "
            "choose another --form"
        )


def new_manifest(models: Sequence[Model]) -> Manifest:
    """A manifest of these models with temperature 1."""
    return Manifest(VERSION, list(EMOTIONS), 1.0, list(models))
