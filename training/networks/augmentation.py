"""The layer that augments training pictures: it turns, scales, shifts, mirrors, lights and partly hides them.

It is one Keras layer on whole batches, so it runs on the backend and device of the network.
"""

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from training.recipe import Augmentation


@dataclass(frozen=True)
class Changes:
    """The extremes of each change. For each picture anew, a change is drawn evenly between its extremes."""

    turn: float  # degrees, both ways
    shift: float  # of the side, both ways
    scale: float = 1.0  # zoomed in or out by up to this factor
    contrast: float = 1.0  # contrast changed by up to this factor
    brightness: float = 0.0  # grey levels, both ways
    hide_chance: float = 0.0
    hide_side: tuple[float, float] = (0.15, 0.40)  # of the picture's side


CHANGES: dict[Augmentation, Changes] = {
    # The study (5.4): as Keras' ImageDataGenerator does with these values. Beyond a picture its edge is repeated.
    "study": Changes(turn=45.0, shift=0.20),
    # A detected face stands nearly upright, in a box whose size and place vary. With a scale of only 1.25, MobileNetV2
    # lost 3.3 points of accuracy on crops 20 % narrower (FER-2013 PublicTest).
    "crop": Changes(turn=20.0, shift=0.12, scale=1.35, contrast=1.4, brightness=40.0, hide_chance=0.25),
}


Draws = dict[str, Any]
"""The drawn value of each change for n pictures, [n]."""


class Augment(keras.layers.Layer):  # type: ignore[misc]  # Keras comes without types
    """[n, size, size, channels] pixels 0 to 255 -> the same shape; outside training nothing changes.

    It also takes a list of such arrays, the same pictures in several sizes and colours, and changes them alike. Both
    kinds of augmentation mirror half of the pictures.
    """

    def __init__(self, seed: int, kind: Augmentation) -> None:
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(seed)
        self._changes = CHANGES[kind]
        # XLA has no kernel for TensorFlow's affine transformation; JAX is slow without XLA.
        self.supports_jit = keras.backend.backend() != "tensorflow"

    def call(self, pixels: Any, training: bool = False) -> Any:
        several = list(pixels) if isinstance(pixels, list | tuple) else [pixels]
        several = [ops.cast(pictures, "float32") for pictures in several]
        if training:
            draws = self._draws(ops.shape(several[0])[0])
            several = [self._changed(pictures, draws) for pictures in several]
        return several if isinstance(pixels, list | tuple) else several[0]

    def _draws(self, count: Any) -> Draws:
        """A value of each change for each of `count` pictures, [count]."""
        changes = self._changes
        log_scale, log_contrast = math.log(changes.scale), math.log(changes.contrast)
        extremes = {
            "turn": (-changes.turn, changes.turn),
            "log_scale": (-log_scale, log_scale),
            "mirror": (-1.0, 1.0),
            "right": (-changes.shift, changes.shift),
            "down": (-changes.shift, changes.shift),
            "log_contrast": (-log_contrast, log_contrast),
            "brightness": (-changes.brightness, changes.brightness),
            "hide": (0.0, 1.0),
            "hide_side": changes.hide_side,
            "hide_left": (0.0, 1.0),
            "hide_top": (0.0, 1.0),
        }
        return {
            name: keras.random.uniform((count,), low, high, seed=self.seed_generator)
            for name, (low, high) in extremes.items()
        }

    def _changed(self, pixels: Any, draws: Draws) -> Any:
        pixels = self._move(pixels, draws)
        if self._changes.contrast != 1 or self._changes.brightness:
            pixels = self._light(pixels, draws)
        return self._hide(pixels, draws) if self._changes.hide_chance else pixels

    def _move(self, pixels: Any, draws: Draws) -> Any:
        size = pixels.shape[1]
        turn, scale = draws["turn"] * (math.pi / 180), ops.exp(draws["log_scale"])
        mirror = ops.sign(draws["mirror"])
        # From output to input coordinates: turn and scale around the middle, then shift.
        a0, a1 = ops.cos(turn) * scale * mirror, -ops.sin(turn) * scale
        b0, b1 = ops.sin(turn) * scale * mirror, ops.cos(turn) * scale
        middle = (size - 1) / 2
        a2 = middle - (a0 + a1) * middle + draws["right"] * size
        b2 = middle - (b0 + b1) * middle + draws["down"] * size
        zero = ops.zeros_like(a0)
        transform = ops.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)
        return ops.image.affine_transform(pixels, transform, interpolation="bilinear", fill_mode="nearest")

    def _light(self, pixels: Any, draws: Draws) -> Any:
        contrast, brightness = (
            ops.reshape(values, (-1, 1, 1, 1)) for values in (ops.exp(draws["log_contrast"]), draws["brightness"])
        )
        mean = ops.mean(pixels, axis=(1, 2, 3), keepdims=True)
        return ops.clip((pixels - mean) * contrast + mean + brightness, 0.0, 255.0)

    def _hide(self, pixels: Any, draws: Draws) -> Any:
        """Grey out one square of some of the pictures, as a hand or a cup hides a part of a face."""
        size = pixels.shape[1]
        side = draws["hide_side"] * size
        left, top = draws["hide_left"] * (size - side), draws["hide_top"] * (size - side)
        at = ops.arange(size, dtype="float32")[None, :]
        columns = ops.logical_and(at >= left[:, None], at < (left + side)[:, None])
        rows = ops.logical_and(at >= top[:, None], at < (top + side)[:, None])
        chosen = draws["hide"] < self._changes.hide_chance
        hidden = ops.logical_and(ops.logical_and(rows[:, :, None], columns[:, None, :]), chosen[:, None, None])
        return ops.where(hidden[..., None], 127.5, pixels)


def seed_random_layers(network: keras.Model, random: np.random.Generator) -> None:
    """Let augmentation and dropout continue with draws that follow from `random`."""
    for variable in network.variables:
        if variable.name == "seed_generator_state":
            variable.assign(random.integers(2**31, size=2))
