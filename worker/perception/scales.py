"""A picture in several sizes. To shrink a large square by the mean of its pixels takes longer than BlazeFace does.

Halving is the fast case of OpenCV. So a picture is halved once, and each square is cut from the size that fits.
"""

import cv2
import numpy as np

from worker.perception.preprocessing import Image, padded_square

DEEPEST = 3
"""Halvings of the smallest copy: an eighth of the width and height."""


class Scales:
    """A picture [height, width, 3], and copies of 1/2, 1/4 and 1/8 of its size, made when they are first used."""

    def __init__(self, picture: Image) -> None:
        self._copies = [picture]

    @property
    def picture(self) -> Image:
        return self._copies[0]

    def copy(self, halvings: int) -> Image:
        """The picture, halved this often: [height, width, 3]. A last odd row or column is left out."""
        while len(self._copies) <= halvings:
            last = self._copies[-1]
            height, width = (max(1, length // 2) for length in last.shape[:2])
            even = last[: 2 * height, : 2 * width]
            self._copies.append(np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8))
        return self._copies[halvings]

    def square(self, x: int, y: int, side: int, at_least: int) -> tuple[Image, int]:
        """A square of the picture in the smallest copy in which it still has `at_least` pixels of height and width.

        Returns it, and by how much the copy is smaller. So the square begins at the multiple of this number below `x`
        and `y`. Outside the picture, its edge is repeated.
        """
        halvings = min(DEEPEST, max(0, (side // at_least).bit_length() - 1))
        by = 2**halvings
        return padded_square(self.copy(halvings), x // by, y // by, side // by), by
