"""Installing one form of a network into the folder of the worker's models."""

from dataclasses import asdict
from datetime import date
from pathlib import Path

import msgspec

from training.conversion.convert import short_path
from training.conversion.forms import FormMetrics, new_manifest
from training.datasets import Dataset
from training.measuring.metrics import measure
from training.measuring.predictions import predict_dataset
from training.weighing.temperature import fit_temperature
from training.weighing.threshold import DIGITS
from worker.perception.emotions import Ensemble
from worker.perception.manifest import MANIFEST, Form, Manifest, Model, load_manifest, write_manifest


def install(
    name: str, form: Model, work: Path, models: Path, validation: Dataset, metrics: dict[Form, FormMetrics]
) -> Manifest:
    """Put `form` of the network `name` into the folder `models`, beside the other networks there.

    The temperature is fitted anew, to the predictions of all networks together for the validation pictures. Weights and
    threshold of `training ensemble` are dropped, because they were fitted to the networks before. So is the network's
    file before, if its name differs. Returns the written manifest; ManifestError if the one before cannot be used.
    """
    models.mkdir(parents=True, exist_ok=True)
    before = load_manifest(models).models if (models / MANIFEST).exists() else []
    others = [msgspec.structs.replace(model, weight=1.0) for model in before if model.name != name]
    unfinished = models / f"{form.file}.unfinished"
    unfinished.write_bytes((work / form.file).read_bytes())
    unfinished.replace(models / form.file)

    entry = msgspec.structs.replace(form, name=name)
    predictions, labels = predict_dataset(Ensemble(new_manifest([*others, entry]), models), validation)
    figures = {
        "date": date.today().isoformat(),
        "validation": short_path(validation.name),
        "n": len(labels),
        "macro_recall": measure(predictions.by_model[name], labels).macro_recall,
        "forms": {quantization: asdict(of_form) for quantization, of_form in metrics.items()},
    }
    manifest = msgspec.structs.replace(
        new_manifest([*others, msgspec.structs.replace(entry, figures=figures)]),
        temperature=round(fit_temperature(predictions.scores, labels), DIGITS),
    )
    write_manifest(manifest, models)
    for model in before:
        if model.name == name and model.file != form.file:
            (models / model.file).unlink()
    return manifest
