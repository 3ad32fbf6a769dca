"""Framings: crops that are wider, narrower or shifted against the crop of the worker."""

from dataclasses import dataclass

import cv2
import numpy as np

from worker.perception.preprocessing import CROP_RISE, CROP_SCALE, Box, Image


@dataclass(frozen=True)
class Framing:
    """How a crop differs from the worker's.

    Its side is `scale` times as long. Its middle lies further `right` and `down` by these shares of the worker's side.
    Beyond the picture the edge is repeated.
    """

    name: str
    scale: float = 1.0
    right: float = 0.0
    down: float = 0.0


AS_SERVED = Framing("as served")

FRAMINGS = (
    Framing("20 % wider", scale=1.2),
    Framing("20 % narrower", scale=0.8),
    Framing("10 % left", right=-0.1),
    Framing("10 % right", right=0.1),
    Framing("10 % up", down=-0.1),
    Framing("10 % down", down=0.1),
)


def reframed(face: Image, framing: Framing) -> Image:
    """A picture that is already a crop, in another framing."""
    if framing == AS_SERVED:
        return face
    height, width = face.shape[:2]
    down, across = round(height * framing.scale), round(width * framing.scale)
    margin = max(height, width) // 2  # more than any framing reaches out
    wide = cv2.copyMakeBorder(face, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    top = margin + round((height - down) / 2 + framing.down * height)
    left = margin + round((width - across) / 2 + framing.right * width)
    return np.asarray(wide[top : top + down, left : left + across], np.uint8)


def moved(box: Box, framing: Framing) -> Box:
    """The box whose `face_crop` is the crop of `box` in another framing."""
    x, y, w, h = box
    side = max(w, h) * CROP_SCALE
    middle_x = x + w / 2 + framing.right * side
    middle_y = y + h / 2 - h * CROP_RISE + framing.down * side
    w, h = w * framing.scale, h * framing.scale
    return middle_x - w / 2, middle_y + h * CROP_RISE - h / 2, w, h
