"""What a face may look like otherwise: turned, nearer, beside the middle, mirrored, darker, half hidden.

One Keras layer on whole batches, so that it runs on whatever backend and device the network runs on.
The study (5.4) turned by up to 45 degrees and shifted by up to 20 %; here the turns are smaller, since a face that
was found by a detector stands nearly upright, and the scale varies, since a detector's box does.
"""

import math
from typing import Any

import keras
from keras import ops

TURN_DEGREES = 20.0
SHIFT = 0.10  # of the side, both ways
SCALE = 1.25  # zoomed in or out by up to this factor
CONTRAST = 1.4  # contrast changed by up to this factor
BRIGHTNESS = 40.0  # grey levels, both ways
HIDE_CHANCE = 0.25
HIDE_SIDE = (0.15, 0.40)  # of the picture's side


class Augment(keras.layers.Layer):  # type: ignore[misc]  # Keras comes without types
    """[n, size, size, channels] pixels 0 to 255 -> the same shape; changes nothing outside training."""

    def __init__(self, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self._random = keras.random.SeedGenerator(seed)

    def call(self, pixels: Any, training: bool = False) -> Any:
        pixels = ops.cast(pixels, "float32")
        if not training:
            return pixels
        return self._hide(self._light(self._move(pixels)))

    def _uniform(self, count: Any, low: float, high: float) -> Any:
        return keras.random.uniform((count,), low, high, seed=self._random)

    def _move(self, pixels: Any) -> Any:
        n, size = ops.shape(pixels)[0], pixels.shape[1]
        turn = self._uniform(n, -TURN_DEGREES, TURN_DEGREES) * (math.pi / 180)
        log_scale = math.log(SCALE)
        scale = ops.exp(self._uniform(n, -log_scale, log_scale))
        mirror = ops.sign(self._uniform(n, -1.0, 1.0))
        # Output to input coordinates: around the middle, then shifted.
        a0, a1 = ops.cos(turn) * scale * mirror, -ops.sin(turn) * scale
        b0, b1 = ops.sin(turn) * scale * mirror, ops.cos(turn) * scale
        middle = (size - 1) / 2
        a2 = middle - (a0 + a1) * middle + self._uniform(n, -SHIFT, SHIFT) * size
        b2 = middle - (b0 + b1) * middle + self._uniform(n, -SHIFT, SHIFT) * size
        zero = ops.zeros_like(a0)
        transform = ops.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)
        return ops.image.affine_transform(pixels, transform, interpolation="bilinear", fill_mode="nearest")

    def _light(self, pixels: Any) -> Any:
        n = ops.shape(pixels)[0]
        log_contrast = math.log(CONTRAST)
        contrast = ops.reshape(ops.exp(self._uniform(n, -log_contrast, log_contrast)), (-1, 1, 1, 1))
        brightness = ops.reshape(self._uniform(n, -BRIGHTNESS, BRIGHTNESS), (-1, 1, 1, 1))
        mean = ops.mean(pixels, axis=(1, 2, 3), keepdims=True)
        return ops.clip((pixels - mean) * contrast + mean + brightness, 0.0, 255.0)

    def _hide(self, pixels: Any) -> Any:
        """Grey out one square of some of the pictures, as a hand or a cup would."""
        n, size = ops.shape(pixels)[0], pixels.shape[1]
        side = self._uniform(n, *HIDE_SIDE) * size
        left, top = self._uniform(n, 0.0, 1.0) * (size - side), self._uniform(n, 0.0, 1.0) * (size - side)
        at = ops.arange(size, dtype="float32")[None, :]
        columns = ops.logical_and(at >= left[:, None], at < (left + side)[:, None])
        rows = ops.logical_and(at >= top[:, None], at < (top + side)[:, None])
        chosen = self._uniform(n, 0.0, 1.0) < HIDE_CHANCE
        hidden = ops.logical_and(ops.logical_and(rows[:, :, None], columns[:, None, :]), chosen[:, None, None])
        return ops.where(hidden[..., None], 127.5, pixels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}
