"""Lectures whose truth is known: galleries of two public-domain portraits that ship inside the wheels of scikit-image
(the astronaut Eileen Collins, NASA) and matplotlib (Rear Admiral Grace Hopper, US Navy).

    python -m tests.gallery OUT.mp4 [--people 2] [--seconds 20]

Every tile is one of the two, mirrored or not, in a light of its own, moving a little. For the tests and `make demo`.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import matplotlib.cbook
import numpy as np
import numpy.typing as npt
import skimage.data

Picture = npt.NDArray[np.uint8]


class Tile(NamedTuple):
    """Where one person is shown, in pixels."""

    x: int
    y: int
    width: int
    height: int

    def holds(self, box: tuple[float, float, float, float]) -> bool:
        """Whether the middle of `box` (x, y, width, height) lies inside."""
        x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
        return self.x <= x <= self.x + self.width and self.y <= y <= self.y + self.height


def tiles(people: int, width: int, height: int) -> list[Tile]:
    """The tiles of a gallery, row by row, as a meeting client lays them out."""
    columns = math.ceil(math.sqrt(people))
    rows = math.ceil(people / columns)
    w, h = width // columns, height // rows
    return [Tile(i % columns * w + 2, i // columns * h + 2, w - 4, h - 4) for i in range(people)]


def render_gallery(
    out: Path, people: int = 2, seconds: float = 4.0, size: tuple[int, int] = (1280, 720), fps: int = 10
) -> list[Tile]:
    """Write a video of a gallery (H.264, or whatever `out`'s container takes by default) and return its tiles."""
    width, height = size
    with av.open(str(out), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for page in gallery_pages(people, round(seconds * fps), fps, size):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(page, format="bgr24")))
        container.mux(stream.encode())
    return tiles(people, width, height)


def gallery_pages(people: int, count: int, fps: int = 10, size: tuple[int, int] = (1280, 720)) -> Iterator[Picture]:
    """The frames of a gallery, [height, width, 3] BGR."""
    return (gallery_page(range(people), n / fps, size) for n in range(count))


def gallery_page(seated: Sequence[int], t: float, size: tuple[int, int] = (1280, 720)) -> Picture:
    """The gallery at second `t`, [height, width, 3] BGR: who sits in each of its tiles, by number."""
    width, height = size
    page = np.full((height, width, 3), 24, np.uint8)
    for who, tile in zip(seated, tiles(len(seated), width, height), strict=True):
        page[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width] = _tile_picture(who, tile, t)
    return page


def _tile_picture(number: int, tile: Tile, t: float) -> Picture:
    """One person's picture at second `t`: the portrait drifts a little before a wall and in a light of its own colour.

    The same picture in the same light at two places would be one participant to the tracker, who may change places.
    """
    portrait = _portrait(number, tile.height)
    wall = [60 + number * 53 % 140, 60 + number * 91 % 140, 60 + number * 29 % 140]
    picture = np.empty((tile.height, tile.width, 3), np.uint8)
    picture[:] = wall
    drift = round(0.02 * tile.height * math.sin(0.7 * t + number))
    side = min(portrait.shape[1], tile.width)
    left = max(0, min((tile.width - side) // 2 + drift, tile.width - side))
    cut = (portrait.shape[1] - side) // 2
    picture[:, left : left + side] = portrait[:, cut : cut + side]
    return picture


@cache
def _portrait(number: int, height: int) -> Picture:
    picture = portraits()[number % 2]
    if number // 2 % 2:
        picture = picture[:, ::-1]
    light = 0.8 + 0.1 * (number // 4 % 5)
    colour = np.array([(1.0, 1.0, 1.0), (1.1, 1.0, 0.9), (0.9, 1.0, 1.1)][number // 4 % 3])  # of the lamp, BGR
    width = round(picture.shape[1] * height / picture.shape[0])
    scaled = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip(scaled * light * colour, 0, 255), np.uint8)


@cache
def portraits() -> tuple[Picture, Picture]:
    """Head and shoulders of the two, BGR."""
    astronaut = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)[20:300, 90:370]
    hopper = cv2.imread(str(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    return np.asarray(astronaut, np.uint8), np.asarray(hopper[30:510, 20:500], np.uint8)


def main() -> None:
    ask = argparse.ArgumentParser(description="Render a gallery-view lecture from two public-domain portraits.")
    ask.add_argument("out", type=Path)
    ask.add_argument("--people", type=int, default=2)
    ask.add_argument("--seconds", type=float, default=20.0)
    given = ask.parse_args()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    render_gallery(given.out, given.people, given.seconds)


if __name__ == "__main__":
    main()
