"""The training of the shipped models: prepare, fit the three networks, quantize them, weigh the ensemble."""

import os
import shlex
import subprocess
import sys
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from training.datasets import read_dataset
from training.preparing.prepare import Preparation, prepare
from training.recipe import Recipe
from training.reproduce.steps import Report, find_sources, find_votes, find_weights, fit_once, limited, shortened
from training.run import network_file
from training.whole_file import write_whole
from worker.perception.manifest import file_sha256

SOURCES = ("fer2013", "rafdb", "kdef", "ckplus")

# Validation part of the sets that come without one. FER-2013 comes with its PublicTest.
VALIDATION_SHARE = 0.1

# Extra weight of sets with few, posed pictures among tens of thousands of pictures from the web.
EMPHASIS = {"kdef": 3.0, "ckplus": 2.0}

_DONE = "done.txt"
"""The finished commands of the conversion, one per line, with the sha256 of the networks at that time."""

# Common to the three recipes; the values are for an accelerator.
_BASE = Recipe(
    model="mobilenetv2",
    batch=128,
    learning_rate=1e-3,
    weight_decay=0.05,
    label_smoothing=0.05,
    vote_share=0.5,  # many labels of FER-2013 are wrong; the votes of ten annotators are better (Barsoum et al., 2016)
    ema=0.999,
    precision="mixed_bfloat16",
)

# In the order of fitting.
RECIPES: tuple[Recipe, ...] = (
    replace(_BASE, epochs=60),
    replace(_BASE, model="resnet50v2", epochs=100),  # many epochs, because it may start without ImageNet weights
    replace(_BASE, model="inceptionv3", epochs=40, learning_rate=5e-4),
)


def reproduce_shipped(
    data: Path, run: Path, models: Path, report: Report, epochs: int | None = None, limit: int | None = None
) -> int:
    """Make the shipped models out of the sets in `data`, in the folder `run`, and install them in `models`.

    A stopped call is resumed by the same call. Only TensorFlow converts networks; if it is not installed, the remaining
    commands are reported. Each fit has at most `epochs` epochs, and about `limit` pictures of each split. Returns the
    exit status of the first conversion that fails, which has printed why, or 0. Raises DatasetError if `data` holds
    none of the sets, and RunError if `run` holds something else.
    """
    sources = find_sources(data, SOURCES)
    folders, votes = tuple(sources.values()), find_votes(data)
    report(f"preparing {', '.join(map(str, folders))}" + (f", votes {votes}" if votes else ""))
    made = prepare(Preparation(folders, validation_share=VALIDATION_SHARE, votes=votes), run / "set").folder
    train, validation = (limited(read_dataset(made / split), limit) for split in ("train", "validation"))
    emphasis = {sources[name].name: factor for name, factor in EMPHASIS.items() if name in sources}
    train.pictures[:] = [replace(p, weight=p.weight * emphasis.get(p.source or "", 1.0)) for p in train.pictures]
    for recipe in RECIPES:
        weights = find_weights(data, recipe.model)
        recipe = shortened(replace(recipe, weights=None if weights is None else str(weights)), epochs)
        report(f"{recipe.model}: fitting, {f'from {weights}' if weights else 'without starting weights'}")
        fit_once(recipe, train, validation, run / recipe.model)
    commands = _conversions(made, run, models)
    if find_spec("tensorflow") is None:
        report("the networks are fitted, but only TensorFlow converts them; continue where it is installed:")
        for command in commands:
            report(f"  training {shlex.join(command)}")
        return 0
    return _convert(commands, run, report)


def _conversions(made: Path, run: Path, models: Path) -> list[list[str]]:
    """The commands of `training` that convert the fitted networks and weigh the ensemble."""
    train, validation = str(made / "train"), str(made / "validation")
    measured = str(made / "test") if (made / "test").is_dir() else validation
    named = ["--validation", validation, "--models", str(models)]
    quantize = [["quantize", str(run / recipe.model), train, *named] for recipe in RECIPES]
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
