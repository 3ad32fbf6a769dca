"""The study's trainings on whatever of its data is there: prepare, fit, fine-tune, and measure beside its figures."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from training.datasets import Dataset, read_dataset
from training.datasets.index import read_index
from training.measuring.metrics import Figures, measure
from training.preparing.prepare import Preparation, prepare
from training.recipe import IMAGENET, RECIPE, ModelName, Recipe, read_recipe
from training.reproduce.fit_once import drawn, faces_of, fit_once, limited
from training.reproduce.sources import find_sources, find_weights
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
from training.reproduce.table import Row, Table, write_table
from training.silence import tensorflow_silenced

TRAINED_ON = ("affectnet", "kdef")
TESTED_ON = "fer2013"

# KDEF's names of frontal pictures, such as AF01HAS; others have two letters for the angle.
_FRONTAL_STEM = 7

Tell = Callable[[str], None]


def reproduce_phase(
    number: int, data: Path, run: Path, tell: Tell, epochs: int | None = None, limit: int | None = None
) -> Path:
    """Do the study's training `number` again with the sets in `data`; the table RUN/table.md is returned.

    Everything is kept in `run`, and the same call goes on where the last one was stopped. `epochs` is the most of each
    fit, `limit` about how many pictures of each split are used. Raises DatasetError where `data` holds nothing to
    train on, and RunError where `run` holds something else.
    """
    phase = PHASES[number]
    found = find_sources(data, TRAINED_ON)
    splits = _prepared(phase, found, _test_source(data), run, tell)
    splits = {name: limited(dataset, limit) for name, dataset in splits.items()}
    rows, started_from = [], {}
    for model in MODELS:
        tell(f"phase {number}, {model}: training")
        weights = started_from[model] = _starting_weights(phase, model, data, run / model / "first")
        first = first_recipe(phase, model, weights)
        fit_once(_shortened(first, epochs), splits["train"], splits["validation"], run / model / "first")
        tell(f"phase {number}, {model}: fine-tuning")
        tuned = _shortened(fine_tuning_recipe(phase, model, str(run / model / "first")), epochs)
        fit_once(tuned, splits["train"], splits["validation"], run / model / "tuned")
        rows.append(_row(phase, model, splits, run / model))
    pictures = {name: len(dataset.pictures) for name, dataset in splits.items()}
    differences = _differences(phase, found, splits, started_from, epochs, limit)
    return write_table(Table(number, pictures, rows, differences), run)


def _prepared(phase: Phase, found: dict[str, Path], test: Path | None, run: Path, tell: Tell) -> dict[str, Dataset]:
    """The splits of the study (5), but that nobody of KDEF is trained on and measured on."""
    tests = () if test is None else (test,)
    kdef, others = found.get("kdef"), tuple(path for name, path in found.items() if name != "kdef")
    tell(f"preparing {', '.join(map(str, (*found.values(), *tests)))}")
    if kdef is None:
        wish = Preparation(others, test=tests, detector=phase.detector, cap=CAP)
    else:
        alone = run / "kdef"
        prepare(Preparation((kdef,), validation_share=KDEF_VALIDATION, detector=phase.detector), alone)
        wish = Preparation(
            (*others, alone / "train"),
            validation=(alone / "validation",),
            test=tests,
            validation_share=0.0,
            detector=phase.detector,
            cap=CAP,
        )
    made = prepare(wish, run / "set").folder
    splits = {"train": read_dataset(made / "train"), "validation": _validation(made / "validation", kdef is not None)}
    if test is not None:
        splits["test"] = drawn(read_dataset(made / "test"), TEST_SHARE)
    return splits


def _test_source(data: Path) -> Path | None:
    return find_sources(data, (*TRAINED_ON, TESTED_ON)).get(TESTED_ON)


def _validation(folder: Path, kdef: bool) -> Dataset:
    """Frontal pictures of KDEF alone (5), where there is KDEF."""
    dataset = read_dataset(folder)
    if not kdef:
        return dataset
    frontal = {
        folder / entry.file
        for entry in read_index(folder)
        if entry.source == "kdef" and len(Path(entry.origin).stem) == _FRONTAL_STEM
    }
    return replace(dataset, pictures=[picture for picture in dataset.pictures if picture.path in frontal])


def _starting_weights(phase: Phase, model: ModelName, data: Path, run: Path) -> str | None:
    """What the fit in `run` began with; else ImageNet's, from `data` or downloaded, where they can be had."""
    if (run / RECIPE).is_file():
        return read_recipe(run).weights
    if file := find_weights(data, model):
        return str(file)
    with tensorflow_silenced():
        from training.networks.architectures import NETWORKS, load_imagenet
        from worker.perception.preprocessing import CHANNELS

        try:
            load_imagenet(NETWORKS[model](SIZE, CHANNELS[phase.colour]))
        except OSError:
            return None
    return IMAGENET


def _shortened(recipe: Recipe, epochs: int | None) -> Recipe:
    return recipe if epochs is None else replace(recipe, epochs=min(recipe.epochs, epochs))


def _row(phase: Phase, model: ModelName, splits: dict[str, Dataset], folder: Path) -> Row:
    of_split = {name: _figures(folder / "tuned", splits[name]) for name in splits if name != "train"}
    return Row(
        model=model,
        reported=phase.reported.get(model),
        epochs=_epochs(folder / "first") + _epochs(folder / "tuned"),
        validation=of_split["validation"],
        test=of_split.get("test"),
    )


def _figures(run: Path, dataset: Dataset) -> Figures:
    with tensorflow_silenced():
        from training.fitting.predict import read_faces
    faces = faces_of(read_recipe(run), dataset)
    return measure(read_faces(run, faces), faces.labels)


def _epochs(run: Path) -> int:
    with (run / "history.csv").open(newline="") as file:
        return sum(1 for _ in csv.DictReader(file))


def _differences(
    phase: Phase,
    found: dict[str, Path],
    splits: dict[str, Dataset],
    started_from: dict[ModelName, str | None],
    epochs: int | None,
    limit: int | None,
) -> list[str]:
    """What is not as in the study, in words."""
    told = []
    if "affectnet" not in found:
        told.append(
            "AffectNet is not there: trained on KDEF alone, on which the study found that everything overfitted (5)."
        )
    if "kdef" not in found:
        told.append("KDEF is not there: validation is a part of AffectNet, not frontal pictures of KDEF (5).")
    else:
        told.append(
            "Nobody of KDEF is both trained on and measured on; the study does not say that it kept people apart (5)."
        )
    if "test" in splits:
        told.append(
            "The test pictures are half of what there is of FER-2013 after the copies are removed, drawn from each "
            "emotion alike; the study had 11,725, which half there is not known (5)."
        )
    else:
        told.append("FER-2013 is not there: nothing is measured on its test set (5), only on validation.")
    told.append(
        "Pictures that are blank, faceless or copies of others are left out; it names bad extractions alone (2)."
    )
    if phase.detector == "mediapipe":
        told.append("Pictures that are not crops are cut as the worker cuts them; here the study names no detector.")
    else:
        told.append("The Haar cascade's box is framed as the worker frames its crops.")
    told.append(f"The networks see {SIZE} pixels, and their heads have our sizes; the study names neither.")
    told.append("One mean and deviation of all pixels standardizes them, also in colour.")
    for model, weights in started_from.items():
        if weights is None:
            told.append(f"{model} starts from nothing, as no ImageNet weights could be had; so its base learns, too.")
        elif weights != IMAGENET:
            told.append(f"{model} starts from {Path(weights).name}.")
    if epochs is not None:
        told.append(
            f"At most {epochs} epochs a fit, for {phase.epochs} of training and {FINE_TUNING_EPOCHS} of fine-tuning."
        )
    if limit is not None:
        told.append(f"About {limit} pictures of each split are used: this rehearses the training and measures nothing.")
    return told
