"""The training of the shipped models: prepare, fit a teacher and its three students, quantize, weigh the ensemble."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from training.datasets import read_dataset
from training.preparing.prepare import Preparation, prepare
from training.recipe import TEACHER, ModelName, Recipe
from training.reproduce.steps import (
    NAMES,
    Report,
    epochs_left,
    find_sources,
    find_votes,
    find_weights,
    fit_once,
    limited,
    shortened,
    spelled,
)
from training.run import network_file
from training.silence import tensorflow_silenced
from training.whole_file import write_whole
from worker.perception.manifest import Form, file_sha256

SOURCES = ("fer2013", "rafdb", "kdef", "ckplus")

# Validation part of the sets that come without one. FER-2013 comes with its PublicTest.
VALIDATION_SHARE = 0.1

# Extra weight of sets with few, posed pictures among tens of thousands of pictures from the web.
EMPHASIS = {"kdef": 3.0, "ckplus": 2.0}

_DONE = "done.txt"
"""The finished commands of the conversion, one per line, with the sha256 of the networks at that time."""

TEACHING = Recipe(
    TEACHER, size=112, colour="rgb", epochs=18, learning_rate=7e-4, label_smoothing=0.05, mixup=0.2, tune=63
)
"""The teacher learns FER-2013's own labels, because these are measured. FER+'s votes agree with 64 % of them."""

_BASE = Recipe("mobilenetv2", epochs=24, label_smoothing=0.0, mixup=0.2)

# In the order of fitting. The shipped networks had earlier fits as their start (CAMPAIGN.md), not ImageNet alone.
RECIPES: tuple[Recipe, ...] = (
    _BASE,
    replace(_BASE, model="resnet50v2", size=64, precision="mixed_bfloat16"),
    replace(_BASE, model="inceptionv3", precision="mixed_bfloat16"),
)

FORMS: dict[ModelName, Form] = {"mobilenetv2": "int8", "resnet50v2": "int8", "inceptionv3": "dynamic"}
"""The form that is shipped (docs/decisions.md, "Emotions")."""


def reproduce_shipped(
    data: Path, run: Path, models: Path, report: Report, epochs: int | None = None, limit: int | None = None
) -> int:
    """Make the shipped models out of the sets in `data`, in the folder `run`, and install them in `models`.

    A stopped call is resumed by the same call. Before the fits it measures and reports how many hours they take here.
    The three networks learn from a teacher if `data` has its starting weights. Only TensorFlow converts networks; if it
    is not installed, the remaining commands are reported. Each fit has at most `epochs` epochs, and about `limit`
    pictures of each split. Returns the exit status of the first conversion that fails, which has printed why, or 0.
    Raises DatasetError if `data` holds none of the sets, and RunError if `run` holds something else.
    """
    sources = find_sources(data, SOURCES)
    folders, votes = tuple(sources.values()), find_votes(data)
    report(f"preparing {', '.join(map(str, folders))}" + (f", votes {votes}" if votes else ""))
    made = prepare(Preparation(folders, validation_share=VALIDATION_SHARE, votes=votes), run / "set").folder
    train, validation = (limited(read_dataset(made / split), limit) for split in ("train", "validation"))
    emphasis = {spelling: factor for name, factor in EMPHASIS.items() for spelling in NAMES[name]}
    train.pictures[:] = [
        replace(p, weight=p.weight * emphasis.get(spelled(p.source or ""), 1.0)) for p in train.pictures
    ]
    teaching, *recipes = (
        replace(shortened(recipe, epochs), weights=find_weights(data, recipe.model)) for recipe in (TEACHING, *RECIPES)
    )
    teacher = None if teaching.weights is None else str(run / TEACHER)
    recipes = [replace(recipe, teacher=teacher) for recipe in recipes]
    if teacher is not None:
        recipes = [teaching, *recipes]
    _report_hours(recipes, len(train.pictures), run, report)
    for recipe in recipes:
        start = f"from {recipe.weights}" if recipe.weights else "without starting weights"
        learning = f", learning from {recipe.teacher}" if recipe.teacher else ""
        report(f"{recipe.model}: fitting, {start}{learning}")
        fit_once(recipe, train, validation, run / recipe.model)
    commands = _conversions(made, run, models)
    if find_spec("tensorflow") is None:
        report("the networks are fitted, but only TensorFlow converts them; continue where it is installed:")
        for command in commands:
            report(f"  training {shlex.join(command)}")
        return 0
    return _convert(commands, run, report)


def _report_hours(recipes: Sequence[Recipe], pictures: int, run: Path, report: Report) -> None:
    """Report how many hours the fits that are not finished take on this machine."""
    total = 0.0
    for recipe in recipes:
        left = epochs_left(run / recipe.model, recipe)
        if left:
            with tensorflow_silenced():
                from training.fitting.timing import seconds_per_picture
            seconds = seconds_per_picture(recipe, None if recipe.teacher is None else TEACHING)
            hours = left * pictures * seconds / 3600
            total += hours
            report(f"{recipe.model}: {left} epochs of {pictures} pictures, {1000 * seconds:.1f} ms each: {hours:.1f} h")
    if total:
        report(f"fitting takes about {total:.1f} hours on this machine; a stopped call continues when it is repeated")


def _conversions(made: Path, run: Path, models: Path) -> list[list[str]]:
    """The commands of `training` that convert the fitted networks and weigh the ensemble."""
    train, validation = str(made / "train"), str(made / "validation")
    measured = str(made / "test") if (made / "test").is_dir() else validation
    named = ["--validation", validation, "--models", str(models)]
    quantize = [["quantize", str(run / r.model), train, *named, "--form", FORMS[r.model]] for r in RECIPES]
    return [*quantize, ["ensemble", measured, *named]]


def _convert(commands: list[list[str]], run: Path, report: Report) -> int:
    """Run each command in a process of its own: conversion needs TensorFlow, the fits may have used another backend."""
    networks = [file_sha256(network_file(run / recipe.model, recipe.model))[:12] for recipe in RECIPES]
    done = (run / _DONE).read_text(encoding="utf-8").splitlines() if (run / _DONE).is_file() else []
    for command in commands:
        report(f"training {shlex.join(command)}")
        line = f"{shlex.join(command)}  # {' '.join(networks)}"
        if line in done:
            report("already done")
            continue
        # Without the accelerator: conversion does not need it, and this process holds its memory.
        environment = os.environ | {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""}
        status = subprocess.run([sys.executable, "-m", "training", *command], env=environment).returncode
        if status:
            return status
        done.append(line)
        text = "\n".join(done) + "\n"
        write_whole(run / _DONE, partial(Path.write_text, data=text, encoding="utf-8"))
    return 0
