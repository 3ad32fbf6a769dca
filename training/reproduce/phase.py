"""A training of the study, with those of its sets that are available: prepare, fit, fine-tune and measure."""

from dataclasses import replace
from pathlib import Path

from training.datasets import Dataset, LabelledPicture, read_dataset
from training.measuring.metrics import measure
from training.preparing.prepare import Preparation, prepare
from training.recipe import IMAGENET, ModelName
from training.reproduce.steps import (
    Report,
    drawn,
    epochs_made,
    faces_of,
    find_sources,
    find_weights,
    fit_once,
    limited,
    shortened,
)
from training.reproduce.study import (
    CAP,
    FINE_TUNING_EPOCHS,
    KDEF_VALIDATION,
    MODELS,
    PHASES,
    SIZE,
    TEST_SHARE,
    Phase,
    fine_tuning_recipe,
    first_recipe,
)
from training.reproduce.table import Row, write_table
from training.run import RECIPE, read_recipe
from training.silence import tensorflow_silenced

TRAINED_ON = ("affectnet", "kdef")
TESTED_ON = "fer2013"

# Letters in KDEF's names of frontal pictures, such as AF01HAS. Other names have one more, for the angle.
_FRONTAL_STEM = 7


def reproduce_phase(
    number: int, data: Path, run: Path, report: Report, epochs: int | None = None, limit: int | None = None
) -> Path:
    """Repeat the study's training `number` with the sets in `data`; returns the table RUN/table.md.

    A stopped call is resumed by the same call. Each fit has at most `epochs` epochs, and about `limit` pictures of each
    split. Raises DatasetError if `data` holds no set to train on, and RunError if `run` holds something else.
    """
    phase = PHASES[number]
    found = find_sources(data, TRAINED_ON)
    test = find_sources(data, (*TRAINED_ON, TESTED_ON)).get(TESTED_ON)
    prepared = _prepared(phase, found, test, run, report)
    splits = {name: limited(dataset, limit) for name, dataset in prepared.items()}
    rows, started_from = [], {}
    for model in MODELS:
        report(f"phase {number}, {model}: training")
        weights = started_from[model] = _starting_weights(phase, model, data, run / model / "first")
        first = first_recipe(phase, model, weights)
        fit_once(shortened(first, epochs), splits["train"], splits["validation"], run / model / "first")
        report(f"phase {number}, {model}: fine-tuning")
        tuned = shortened(fine_tuning_recipe(phase, model, str(run / model / "first")), epochs)
        fit_once(tuned, splits["train"], splits["validation"], run / model / "tuned")
        rows.append(_row(phase, model, splits, run / model))
    pictures = {name: len(dataset.pictures) for name, dataset in splits.items()}
    differences = _differences(phase, found, splits, started_from, epochs, limit)
    return write_table(run, number, pictures, rows, differences)


def _prepared(phase: Phase, found: dict[str, Path], test: Path | None, run: Path, report: Report) -> dict[str, Dataset]:
    """The splits of the study (5), except that each person of KDEF is in one split only."""
    tests = () if test is None else (test,)
    kdef, others = found.get("kdef"), tuple(path for name, path in found.items() if name != "kdef")
    report(f"preparing {', '.join(map(str, (*found.values(), *tests)))}")
    settings = Preparation(others, test=tests, detector=phase.detector, cap=CAP)
    if kdef is not None:
        alone = run / "kdef"
        prepare(Preparation((kdef,), validation_share=KDEF_VALIDATION, detector=phase.detector), alone)
        with_kdef = (*others, alone / "train")
        settings = replace(settings, sources=with_kdef, validation=(alone / "validation",), validation_share=0.0)
    made = prepare(settings, run / "set").folder
    splits = {name: read_dataset(made / name) for name in ("train", "validation")}
    if kdef is not None:  # only its frontal pictures (5)
        splits["validation"].pictures[:] = filter(_is_frontal, splits["validation"].pictures)
    if test is not None:
        splits["test"] = drawn(read_dataset(made / "test"), TEST_SHARE)
    return splits


def _is_frontal(picture: LabelledPicture) -> bool:
    return picture.source == "kdef" and len(Path(picture.origin or "").stem) == _FRONTAL_STEM


def _starting_weights(phase: Phase, model: ModelName, data: Path, run: Path) -> str | None:
    """The starting weights of the fit in `run` if it has begun; else those of ImageNet, from `data` or downloaded."""
    if (run / RECIPE).is_file():
        return read_recipe(run).weights
    if weights := find_weights(data, model):
        return weights
    with tensorflow_silenced():
        from training.networks.architectures import NETWORKS
        from training.networks.imagenet import load_imagenet
        from worker.perception.preprocessing import CHANNELS

        try:
            load_imagenet(NETWORKS[model](SIZE, CHANNELS[phase.colour]))
        except OSError:
            return None
    return IMAGENET


def _row(phase: Phase, model: ModelName, splits: dict[str, Dataset], folder: Path) -> Row:
    with tensorflow_silenced():
        from training.fitting.predict import predict
    tuned, metrics = folder / "tuned", {}
    for name in splits.keys() - {"train"}:
        faces = faces_of(read_recipe(tuned), splits[name])
        metrics[name] = measure(predict(tuned, faces), faces.labels)
    epochs = epochs_made(folder / "first") + epochs_made(tuned)
    return Row(model, phase.reported.get(model), epochs, metrics["validation"], metrics.get("test"))


def _differences(
    phase: Phase,
    found: dict[str, Path],
    splits: dict[str, Dataset],
    started_from: dict[ModelName, str | None],
    epochs: int | None,
    limit: int | None,
) -> list[str]:
    """The differences from the study, as sentences."""
    sentences = [
        "Each person of KDEF is in one split only; the study does not say that it split by person (5)."
        if "kdef" in found
        else "KDEF is not there: validation is a part of AffectNet instead of frontal pictures of KDEF (5).",
        "The test pictures are half of FER-2013 without copies, the same share of each emotion; the study had 11,725 "
        "pictures, and it is not known which (5)."
        if "test" in splits
        else "FER-2013 is not there: measured on validation only, not on the study's test set (5).",
        "Blank pictures, copies and pictures without a face are left out; the study names only bad extractions (2).",
        "Pictures that are not crops are cut as the worker cuts them; for this phase the study names no detector."
        if phase.detector == "mediapipe"
        else "The Haar cascade's box is framed as the worker frames its crops.",
        f"The input is {SIZE} pixels wide, and the heads have our sizes; the study names neither.",
        "All pixels, also in colour, are standardized by one mean and one deviation.",
        *(
            f"{model} starts without ImageNet weights, which were not available; so its base learns, too."
            if weights is None
            else f"{model} starts from {Path(weights).name}."
            for model, weights in started_from.items()
            if weights != IMAGENET
        ),
    ]
    if "affectnet" not in found:
        alone = "AffectNet is not there: trained on KDEF alone, where in the study every network overfitted (5)."
        sentences.insert(0, alone)
    if epochs is not None:
        tuned = f"{phase.epochs} of training and {FINE_TUNING_EPOCHS} of fine-tuning"
        sentences.append(f"At most {epochs} epochs per fit, instead of {tuned}.")
    if limit is not None:
        sentences.append(
            f"About {limit} pictures of each split are used: this rehearses the training; its metrics mean nothing."
        )
    return sentences
