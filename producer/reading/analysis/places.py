"""Where participants were shown in the picture: the place of each face, and an estimate of the tile around it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from producer.reading.analysis.boxes import own_recordings
from worker.contract.messages import EmotionEvent, Event

CELLS = 24
"""Places are counted on a grid of this many cells both ways, and a place is as large as three of them."""

BATCH = 4096  # events that NumPy adds up at once

# A tile reaches at most this far from the face's box: to each side in widths of the face, above and below in heights.
ASIDE, ABOVE, BELOW = 2.5, 1.5, 2.5

# A face is about in the middle of its tile: one side reaches at most this many times as far as the other.
OFF_CENTRE = 1.5

# Faces at the same place, at different times, do not limit each other's tiles.
SAME_PLACE = 0.5  # in widths of the face

Array = npt.NDArray[np.float64]


class Area(NamedTuple):
    """A rectangle in pixels of the lecture's picture."""

    x: float
    y: float
    width: float
    height: float


class Map(NamedTuple):
    """A place as it is drawn: the tile and the picture's height in percent of the picture's width, and words."""

    x: float
    y: float
    width: float
    height: float
    whole: float
    words: str


class Place(NamedTuple):
    """Where somebody was shown most: the estimated tile, and the place in words, like `top left`."""

    tile: Area
    words: str

    def map(self, size: tuple[int, int]) -> Map:
        """The map for a picture of this width and height in pixels."""
        x, y, width, height, whole = (round(100 * each / size[0], 1) for each in (*self.tile, size[1]))
        return Map(x, y, width, height, whole, self.words)


class PlacesBuilder:
    """Where the faces of each participant were, from all events that were added."""

    def __init__(self, width: int, height: int, source: str = "") -> None:
        """`width` and `height` are those of the lecture's picture, in pixels; `source` is the lecture's.

        A participant with a recording of their own fills it, so they have no place.
        """
        self._own = own_recordings(source)
        self._size = np.array([width, height], float)
        self._index: dict[str, int] = {}
        self._rows: list[tuple[int, int, int, int, int]] = []
        self._sums = np.zeros((0, CELLS, CELLS, 5))  # count, x, y, width, height

    def add(self, event: Event) -> None:
        if isinstance(event, EmotionEvent) and event.participant not in self._own:
            self._rows.append((self._index.setdefault(event.participant, len(self._index)), *event.box))
            if len(self._rows) >= BATCH:
                self._sum_up()

    def places(self) -> dict[str, Place]:
        """Participant -> the place where their face was most often."""
        self._sum_up()
        n = len(self._index)
        edged = np.pad(self._sums[:n], ((0, 0), (1, 1), (1, 1), (0, 0)))
        rows = edged[:, :-2] + edged[:, 1:-1] + edged[:, 2:]
        around = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]).reshape(n, CELLS * CELLS, 5)
        main = around[np.arange(n), around[..., 0].argmax(axis=1)]
        boxes = (main[:, 1:] / main[:, :1]).tolist()  # the mean box at the most frequent place
        faces = {each: Area(*box) for each, box in zip(self._index, boxes, strict=True)}
        return estimated_places(faces, *map(float, self._size))

    def _sum_up(self) -> None:
        if not self._rows:
            return
        if len(self._index) > len(self._sums):
            self._sums = np.concatenate([self._sums, np.zeros((len(self._index), CELLS, CELLS, 5))])
        rows = np.array(self._rows, float)
        self._rows.clear()
        middles = (rows[:, 1:3] + rows[:, 3:5] / 2) / self._size
        column, row = np.clip(middles * CELLS, 0, CELLS - 1).astype(int).T
        values = np.column_stack([np.ones(len(rows)), rows[:, 1:]])
        np.add.at(self._sums, (rows[:, 0].astype(int), row, column), values)


def estimated_places(faces: Mapping[str, Area], width: float, height: float) -> dict[str, Place]:
    """A tile around each face: at most some faces wide, and no further than half way to the next face."""
    return {
        each: Place(_tile(face, [other for other in faces.values() if other is not face], width, height), words)
        for each, face in faces.items()
        for words in [_words(face, width, height)]
    }


def _words(face: Area, width: float, height: float) -> str:
    """The third of the picture, both ways, with the middle of the face."""
    x, y = _middle(face)
    down = ("top", "", "bottom")[min(int(3 * max(y / height, 0)), 2)]
    across = ("left", "", "right")[min(int(3 * max(x / width, 0)), 2)]
    return " ".join(filter(None, (down, across))) or "middle"


def _tile(face: Area, others: Sequence[Area], width: float, height: float) -> Area:
    x, y = _middle(face)
    left, right = max(0.0, face.x - ASIDE * face.width), min(width, face.x + (1 + ASIDE) * face.width)
    top, bottom = max(0.0, face.y - ABOVE * face.height), min(height, face.y + (1 + BELOW) * face.height)
    for other in others:
        across, down = _middle(other)[0] - x, _middle(other)[1] - y
        if max(abs(across), abs(down)) < SAME_PLACE * face.width:
            continue
        beside, below = (x + across / 2, y + down / 2)
        if abs(across) >= abs(down):  # neighbours in a row, and otherwise in a column
            left, right = (left, min(right, beside)) if across > 0 else (max(left, beside), right)
        else:
            top, bottom = (top, min(bottom, below)) if down > 0 else (max(top, below), bottom)
    left, right = max(left, x - OFF_CENTRE * (right - x)), min(right, x + OFF_CENTRE * (x - left))
    top, bottom = max(top, y - OFF_CENTRE * (bottom - y)), min(bottom, y + OFF_CENTRE * (y - top))
    return Area(left, top, max(right - left, 1.0), max(bottom - top, 1.0))


def _middle(face: Area) -> tuple[float, float]:
    return face.x + face.width / 2, face.y + face.height / 2
