"""The recipe behind the models that the worker ships: prepare, fit the three, quantize them, weigh the ensemble."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from training.datasets import Dataset, read_dataset
from training.preparing.prepare import Preparation, prepare
from training.recipe import Recipe, fitted_network, write_whole
from training.reproduce.fit_once import fit_once, limited
from training.reproduce.sources import find_sources, find_votes, find_weights
from worker.perception.manifest import file_sha256

SOURCES = ("fer2013", "rafdb", "kdef", "ckplus")

# Of the sets that come without a validation part; FER-2013's is its PublicTest.
VALIDATION_SHARE = 0.1

# Posed pictures of few people, which would otherwise be lost among the tens of thousands from the web.
EMPHASIS = {"kdef": 3.0, "ckplus": 2.0}

_DONE = "done.txt"
"""What of the conversion is done: a line for each command, with the sha256 of the networks that there were."""

Tell = Callable[[str], None]

# What the three have in common. Values are for an accelerator.
_BASE = Recipe(
    model="mobilenetv2",
    batch=128,
    learning_rate=1e-3,
    weight_decay=0.05,
    label_smoothing=0.05,
    vote_share=0.5,  # FER-2013's labels are often wrong, ten people less often (Barsoum et al., 2016)
    ema=0.999,
    precision="mixed_bfloat16",
)

# In the order in which they are fitted.
RECIPES: tuple[Recipe, ...] = (
    replace(_BASE, epochs=60),
    replace(_BASE, model="resnet50v2", epochs=100),  # from nothing, where no ImageNet weights are at hand
    replace(_BASE, model="inceptionv3", epochs=40, learning_rate=5e-4),
)


def reproduce_shipped(
    data: Path, run: Path, models: Path, tell: Tell, epochs: int | None = None, limit: int | None = None
) -> int:
    """Make the shipped models out of the sets in `data`, in the folder `run`, and install them in `models`.

    The same call goes on where the last one was stopped. Where TensorFlow is not installed, which alone converts
    networks, the fits are done and it is told how to go on elsewhere. `epochs` is the most of each fit, `limit` about
    how many pictures of each split are fitted on. Returns the exit status: that of the first conversion that fails,
    which then has said why. Raises DatasetError where `data` holds none of the sets, and RunError where `run` holds
    something else.
    """
    sources = find_sources(data, SOURCES)
    made = _prepared(data, sources, run / "set", tell)
    emphasis = {sources[name].name: weight for name, weight in EMPHASIS.items() if name in sources}
    train = limited(_emphasized(read_dataset(made / "train"), emphasis), limit)
    validation = limited(read_dataset(made / "validation"), limit)
    for recipe in RECIPES:
        weights = find_weights(data, recipe.model)
        recipe = replace(recipe, weights=None if weights is None else str(weights))
        if epochs is not None:
            recipe = replace(recipe, epochs=min(recipe.epochs, epochs))
        tell(f"{recipe.model}: fitting, starting from {recipe.weights or 'nothing'}")
        fit_once(recipe, train, validation, run / recipe.model)
    commands = _conversions(made, run, models)
    if find_spec("tensorflow") is None:
        tell("the networks are fitted, but only TensorFlow converts them; where it is installed, go on with:")
        for command in commands:
            tell(f"  training {shlex.join(command)}")
        return 0
    return _convert(commands, run, tell)


def _prepared(data: Path, sources: dict[str, Path], out: Path, tell: Tell) -> Path:
    folders = tuple(sources.values())
    votes = find_votes(data)
    tell(f"preparing {', '.join(map(str, folders))}" + (f", votes {votes}" if votes else ""))
    return prepare(Preparation(folders, validation_share=VALIDATION_SHARE, votes=votes), out).folder


def _emphasized(dataset: Dataset, emphasis: dict[str, float]) -> Dataset:
    """The dataset with the weights of each source's pictures multiplied, by the source's name."""
    return replace(
        dataset,
        pictures=[
            replace(picture, weight=picture.weight * emphasis.get(picture.source or "", 1.0))
            for picture in dataset.pictures
        ],
    )


def _conversions(made: Path, run: Path, models: Path) -> list[list[str]]:
    """The commands of `training` that are left when the networks are fitted."""
    train, validation = str(made / "train"), str(made / "validation")
    measured = str(made / "test") if (made / "test").is_dir() else validation
    named = ["--validation", validation, "--models", str(models)]
    quantize = [["quantize", str(run / recipe.model), train, *named] for recipe in RECIPES]
    return [*quantize, ["ensemble", measured, *named]]


def _convert(commands: list[list[str]], run: Path, tell: Tell) -> int:
    """Run each command in a process of its own: conversion needs TensorFlow, whatever backend did the fits."""
    networks = [file_sha256(fitted_network(run / recipe.model, recipe.model))[:12] for recipe in RECIPES]
    done = _done(run)
    for command in commands:
        tell(f"training {shlex.join(command)}")
        line = f"{shlex.join(command)}  # {' '.join(networks)}"
        if line in done:
            tell("done already")
            continue
        # Without accelerator: converting needs none, and this process holds the memory of the one there is.
        environment = os.environ | {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""}
        program = [sys.executable, "-c", "from training.cli import app; app()"]
        status = subprocess.run([*program, *command], env=environment).returncode
        if status:
            return status
        done.append(line)
        text = "\n".join(done) + "\n"
        write_whole(run / _DONE, partial(Path.write_text, data=text))
    return 0


def _done(run: Path) -> list[str]:
    return (run / _DONE).read_text().splitlines() if (run / _DONE).is_file() else []
