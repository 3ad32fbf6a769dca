"""Changes of slide: from the slide descriptors of consecutive frames, which part of a recording shows slides, and when
another slide came.

A slide changes if most of what was displayed is replaced and stands still afterwards. So a bullet that is added, a
cursor, a playing video and compression noise are no changes. Only a rectangle without faces can be a slide. If the
faces move at the same moment, the layout of the gallery changed, and not the slide. docs/slides.md has the
measurements behind the constants.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct, structs

from worker.outcome import COVERED, SLIDE_COLUMNS, SLIDE_ROWS

Cells = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

# Seconds between the frames that are compared to see what moves. Frames that are further apart are all compared.
STEP_S = 0.5

# A cell moves if it changed in this many of its last eight steps, and so do those within NEAR cells.
MOVING = 3
NEAR = 2

# Where a face was within this many half seconds, a person sits.
REMEMBERED = 20

# A slide is at least this part of the picture's width and height.
LEAST_SIDE = 1 / 3

# A cell has content from this level on, and changes by at least this many levels (three are a doubling).
CONTENT = 4
DIFFERENT = 2

# The slide changed if this share of its content is different, and this many cells. The share is far below one, because
# other letters may have the same structure.
REPLACED = 0.12

# Content that outlasted this many changes belongs to the template, and does not count.
TEMPLATE = 2

# A slide with fewer cells of content is almost blank. Then more of it must be different, and the next slide has at
# least LEAST_NEW cells of content. Fewer than ALMOST_NONE are none.
LEAST_CONTENT = 12
LEAST_DIFFERENT = 5
REPLACED_OF_FEW = 0.5
ALMOST_NONE = 3
LEAST_NEW = 36

# If this share of the places with faces is new, the layout changed.
NEW_PLACES = 0.5

# A cell that changed so often while a slide was displayed does not count, until the next slide.
RESTLESS = 2

# A new place for slides counts when this share of it is at rest.
AT_REST = 0.9

# A cell is at rest if it has not changed for this long, or for one step if a step is longer.
REST_S = 1.0

# Something that does not come to rest within this time is not a slide.
PATIENCE_S = 10.0

_CELLS = SLIDE_COLUMNS * SLIDE_ROWS
CellBytes = Annotated[bytes, Meta(min_length=_CELLS, max_length=_CELLS)]


class Onset(Struct, frozen=True, array_like=True):
    """The first frame of what may be another slide, and where faces were before it."""

    frame: int
    t: float
    covered: CellBytes


class SlideState(Struct, frozen=True, array_like=True):
    """What is carried from frame to frame; one byte for each cell.

    `shown` is the current slide, `compared` the frame of the last step, at `step_t` seconds. `moved` has a bit for each
    of the last eight steps, the newest lowest. `outlasted` counts the last changes of slide that the content did not
    take part in: a logo, a footer, the edge of a tile. `restless` counts the changes that were no new slide, since the
    last one. `uncovered` is the number of half seconds since a face was there. `begun` is the first frame of the
    current slide, None while there is no place for slides; `appeared` the first frame of a new place for them.
    `slides` counts them.
    """

    shown: CellBytes
    compared: CellBytes
    step_t: float
    moved: CellBytes = bytes(_CELLS)
    outlasted: CellBytes = bytes(_CELLS)
    restless: CellBytes = bytes(_CELLS)
    uncovered: CellBytes = b"\xff" * _CELLS
    begun: tuple[int, float] | None = None
    appeared: tuple[int, float] | None = None
    onset: Onset | None = None
    slides: int = 0


@dataclass(frozen=True)
class NewSlide:
    """A slide is displayed from this frame on, at `t` seconds; `number` counts from 1."""

    frame: int
    t: float
    number: int


def advance_slides(
    state: SlideState | None, descriptor: bytes, frame: int, t: float
) -> tuple[SlideState, list[NewSlide]]:
    """The next state after a frame, and the slides that it made known: they began in this frame or an earlier one.

    The first slide is made known when it is replaced: a recording in which nothing is replaced shows no slides.
    """
    state = state or SlideState(descriptor, descriptor, t)
    state, values, quiet = _observed(state, _cells(descriptor), t)
    uncovered, shown = _cells(state.uncovered), _cells(state.shown)
    place = _place(uncovered > REMEMBERED)
    if place is None:
        return structs.replace(state, begun=None, appeared=None, onset=None), []
    times_moved = np.unpackbits(_cells(state.moved)[..., np.newaxis], axis=-1).sum(axis=-1)
    still = ~_widened(times_moved >= MOVING)
    counts = place & still & (_cells(state.outlasted) < TEMPLATE) & (_cells(state.restless) < RESTLESS)
    begun = state.begun
    if begun is None:
        return _appearing(state, values, counts, quiet, frame, t)
    if not _replaced(shown, values, counts):
        if state.onset is None and quiet is not None:
            state = _absorbed(state, values, still, place, quiet)
        return structs.replace(state, onset=None), []
    onset = state.onset or Onset(frame, t, (uncovered <= REMEMBERED).astype(np.uint8).tobytes())
    state = structs.replace(state, onset=onset)
    if quiet is None:
        return state, []
    if _replaced(shown, np.where(still & quiet, values, shown), counts):
        return _changed(state, values, onset, begun, t)
    if t - onset.t > PATIENCE_S:
        state = structs.replace(state, shown=values.tobytes(), onset=None)
    return state, []


def _observed(state: SlideState, now: Cells, t: float) -> tuple[SlideState, Cells, Mask | None]:
    """The state with a frame compared to the last step, the frame without faces, and the cells that are at rest.

    The latter are None if the last step was less than STEP_S ago.
    """
    faces = now == COVERED
    compared, uncovered = _cells(state.compared), _cells(state.uncovered)
    values = np.where(faces, compared, now)
    quiet = None
    passed = (t - state.step_t) / STEP_S
    if passed >= 1 - 1e-6:
        moved = (_cells(state.moved) << 1) | _differ(values, compared)
        steps = 1 if passed * STEP_S >= REST_S else 2
        quiet = moved & (2**steps - 1) == 0
        uncovered = np.minimum(uncovered.astype(np.int64) + round(passed), 255)
        state = structs.replace(state, step_t=t, compared=values.tobytes(), moved=moved.tobytes())
    uncovered = np.where(faces, 0, uncovered).astype(np.uint8)
    return structs.replace(state, uncovered=uncovered.tobytes()), values, quiet


def _absorbed(state: SlideState, values: Cells, still: Mask, place: Mask, quiet: Mask) -> SlideState:
    """Changes that came to rest and are no new slide belong to the current one."""
    shown, restless = _cells(state.shown), _cells(state.restless)
    settled = (still & quiet) | ~place
    restless = np.minimum(restless + (settled & _differ(shown, values)), RESTLESS).astype(np.uint8)
    shown = np.where(settled | ~still, values, shown)
    return structs.replace(state, shown=shown.tobytes(), restless=restless.tobytes())


def _changed(
    state: SlideState, values: Cells, onset: Onset, first: tuple[int, float], t: float
) -> tuple[SlideState, list[NewSlide]]:
    """What is displayed was replaced: by another slide, unless the faces have other places since then."""
    shown, uncovered = _cells(state.shown), _cells(state.uncovered)
    begun = onset.frame, onset.t
    after = uncovered <= max(0.0, (t - onset.t) / STEP_S)
    arrived = after & (_cells(onset.covered) == 0)
    state = structs.replace(state, shown=values.tobytes(), begun=begun, onset=None, restless=bytes(_CELLS))
    if arrived.sum() > NEW_PLACES * after.sum():
        return state, []
    same = _content(shown) & _content(values) & ~_differ(shown, values)
    outlasted = np.where(same, np.minimum(_cells(state.outlasted) + 1, TEMPLATE), 0).astype(np.uint8)
    return _next(structs.replace(state, outlasted=outlasted.tobytes()), first, begun)


def _next(state: SlideState, first: tuple[int, float], begun: tuple[int, float]) -> tuple[SlideState, list[NewSlide]]:
    new = [] if state.slides else [NewSlide(*first, 1)]
    number = max(1, state.slides) + 1
    return structs.replace(state, slides=number), [*new, NewSlide(*begun, number)]


def _appearing(
    state: SlideState, values: Cells, counts: Mask, quiet: Mask | None, frame: int, t: float
) -> tuple[SlideState, list[NewSlide]]:
    """A place for slides was not there before. It counts when most of it has come to rest."""
    appeared = state.appeared or (frame, t)
    if quiet is None or appeared[0] == frame or not counts.any() or quiet[counts].mean() < AT_REST:
        return structs.replace(state, appeared=appeared), []
    other = state.slides > 0 and _replaced(_cells(state.shown), values, counts)
    state = structs.replace(
        state, shown=values.tobytes(), begun=appeared, appeared=None, onset=None, restless=bytes(_CELLS)
    )
    return _next(state, appeared, appeared) if other else (state, [])


def _replaced(shown: Cells, values: Cells, where: Mask) -> bool:
    """Whether so much of the content of `shown` is different in `values` that it is another slide."""
    content = _content(shown) & where
    count = int(content.sum())
    different = int((content & _differ(shown, values)).sum())
    if count >= LEAST_CONTENT:
        return different >= max(REPLACED * count, LEAST_DIFFERENT)
    new = int((_content(values) & where).sum()) - count
    return new >= LEAST_NEW and (count < ALMOST_NONE or different >= REPLACED_OF_FEW * count)


def _place(free: Mask) -> Mask | None:
    """The largest free rectangle; None if it is too small for slides."""
    coarse = free.reshape(SLIDE_ROWS // 2, 2, SLIDE_COLUMNS // 2, 2).all(axis=(1, 3))
    if coarse.all():
        return np.ones_like(free)
    top, bottom, left, right = _largest_rectangle(tuple(map(tuple, coarse.tolist())))
    rows, columns = coarse.shape
    if bottom - top < LEAST_SIDE * rows or right - left < LEAST_SIDE * columns:
        return None
    place = np.zeros_like(free)
    place[2 * top : 2 * bottom, 2 * left : 2 * right] = True
    return place


@lru_cache(maxsize=16)  # people seldom move by a cell
def _largest_rectangle(free: tuple[tuple[bool, ...], ...]) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of the largest rectangle of true cells, given by rows; ends are exclusive."""
    best, found = 0, (0, 0, 0, 0)
    heights = [0] * len(free[0])
    for row, cells in enumerate(free):
        heights = [height + 1 if is_free else 0 for height, is_free in zip(heights, cells, strict=True)]
        open_: list[tuple[int, int]] = []  # (left, height), heights increasing
        for column, height in enumerate([*heights, 0]):
            left = column
            while open_ and open_[-1][1] >= height:
                left, h = open_.pop()
                if h * (column - left) > best:
                    best, found = h * (column - left), (row + 1 - h, row + 1, left, column)
            open_.append((left, height))
    return found


def _cells(values: bytes) -> Cells:
    return np.frombuffer(values, np.uint8).reshape(SLIDE_ROWS, SLIDE_COLUMNS)


def _content(cells: Cells) -> Mask:
    return np.asarray((cells != COVERED) & (np.maximum(cells >> 4, cells & 15) >= CONTENT))


def _differ(a: Cells, b: Cells) -> Mask:
    """Cells that are different; a covered one is not compared."""
    far = [np.abs(one.astype(np.int8) - other.astype(np.int8)) for one, other in ((a >> 4, b >> 4), (a & 15, b & 15))]
    return np.asarray((np.maximum(*far) >= DIFFERENT) & (a != COVERED) & (b != COVERED))


def _widened(mask: Mask) -> Mask:
    """The true cells, and those within NEAR cells of them: a moving region has cells that seldom change."""
    padded = np.pad(mask, NEAR)
    rows = np.any([padded[n : n + SLIDE_ROWS] for n in range(2 * NEAR + 1)], axis=0)
    return np.asarray(np.any([rows[:, n : n + SLIDE_COLUMNS] for n in range(2 * NEAR + 1)], axis=0))
