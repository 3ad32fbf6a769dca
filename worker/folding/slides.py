"""Changes of slide: from the slide descriptors of consecutive frames, which part of a recording shows slides, and when
another slide came.

A slide changes if most of what was displayed is replaced and stands still afterwards. So a bullet that is added, a
cursor, a playing video and compression noise are no changes. Only a rectangle without faces can be a slide. If the
faces move at the same moment, the layout of the gallery changed, and not the slide. docs/slides.md has the
measurements behind the constants.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct, structs

from worker.outcome import COVERED, SLIDE_COLUMNS, SLIDE_ROWS

Cells = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

# Seconds between the frames that are compared to see what moves. Frames that are further apart are all compared.
STEP_S = 0.5

# A cell moves if it changed in this many of its last eight steps.
MOVING = 3

# Where a face was within this many half seconds, a person sits.
REMEMBERED = 20

# A slide is at least this part of the picture's width and height.
LEAST_SIDE = 1 / 3

# A cell has content from this level on, and changes by at least this many levels (three are a doubling).
CONTENT = 4
DIFFERENT = 2

# A cell of text counts as changed if this many of its nine neighbours, itself included, are different, because other
# letters may have the same structure.
SUPPORT = 3

# The slide changed if this share of its content did, and it has at least this many cells of content.
REPLACED = 0.35
LEAST_CONTENT = 12

# After a blank slide, this much content is another slide.
LEAST_AFTER_BLANK = 36

# If this share of the places with faces is new, the layout changed.
NEW_PLACES = 0.5

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
    of the last eight steps, the newest lowest. `uncovered` is the number of half seconds since a face was there.
    `begun` is the first frame of the current slide, None while there is no place for slides. `slides` counts them.
    """

    shown: CellBytes
    compared: CellBytes
    step_t: float
    moved: CellBytes = bytes(_CELLS)
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
    if state is None:
        state = SlideState(descriptor, descriptor, t)
    shown, compared, moved, uncovered = map(_cells, (state.shown, state.compared, state.moved, state.uncovered))
    now = _cells(descriptor)
    faces = now == COVERED
    values = np.where(faces, compared, now)
    is_step = t - state.step_t >= STEP_S - 1e-6
    if is_step:
        moved = (moved << 1) | _differ(values, compared)
        passed = min(255, round((t - state.step_t) / STEP_S))
        uncovered = np.minimum(uncovered.astype(np.int32) + passed, 255).astype(np.uint8)
        compared = values
        state = structs.replace(state, step_t=t, compared=compared.tobytes(), moved=moved.tobytes())
    uncovered = np.where(faces, 0, uncovered).astype(np.uint8)
    state = structs.replace(state, uncovered=uncovered.tobytes())
    place = _place(uncovered > REMEMBERED)
    if place is None:
        return structs.replace(state, begun=None, appeared=None, onset=None), []
    still = _bits(moved) < MOVING
    settled = still & (moved & 1 == 0)
    if state.begun is None:
        return _appearing(state, shown, values, place & still, settled, is_step, frame, t)
    replaced, enough = _replaced(shown, values, place & still, state.slides)
    if not enough:
        if state.onset is None and is_step:
            shown = np.where(settled | ~still | ~place, values, shown)
        return structs.replace(state, shown=shown.tobytes(), onset=None), []
    onset = state.onset or Onset(frame, t, np.where(uncovered <= REMEMBERED, 1, 0).astype(np.uint8).tobytes())
    state = structs.replace(state, onset=onset)
    if not is_step:
        return state, []
    _, settled_enough = _replaced(shown, np.where(settled, values, shown), place & still, state.slides)
    if settled_enough:
        begun = onset.frame, onset.t
        after = uncovered <= max(0.0, (t - onset.t) / STEP_S)
        arrived = after & (_cells(onset.covered) == 0)
        next_state = structs.replace(state, shown=values.tobytes(), begun=begun, onset=None)
        if arrived.sum() > NEW_PLACES * after.sum():
            return next_state, []
        return _next(next_state, state.begun, begun)
    if t - onset.t > PATIENCE_S:
        return structs.replace(state, shown=values.tobytes(), onset=None), []
    return state, []


def _next(state: SlideState, first: tuple[int, float], begun: tuple[int, float]) -> tuple[SlideState, list[NewSlide]]:
    new = [] if state.slides else [NewSlide(*first, 1)]
    number = max(1, state.slides) + 1
    return structs.replace(state, slides=number), [*new, NewSlide(*begun, number)]


def _appearing(
    state: SlideState, shown: Cells, values: Cells, place: Mask, settled: Mask, is_step: bool, frame: int, t: float
) -> tuple[SlideState, list[NewSlide]]:
    """A place for slides was not there before. It counts when what it displays has come to rest."""
    appeared = state.appeared or (frame, t)
    if not is_step or appeared[0] == frame or not settled[place].mean() > 0.9:
        return structs.replace(state, appeared=appeared), []
    other = state.slides and _replaced(shown, values, place, state.slides)[1]
    state = structs.replace(state, shown=values.tobytes(), begun=appeared, appeared=None, onset=None)
    return _next(state, appeared, appeared) if other else (state, [])


def _replaced(shown: Cells, values: Cells, where: Mask, slides: int) -> tuple[float, bool]:
    """The share of the content of `shown` that is different in `values`, and whether that is another slide."""
    content = _content(shown) & where
    count = int(content.sum())
    if count < LEAST_CONTENT:
        return 0.0, slides > 0 and int((_content(values) & where).sum()) >= LEAST_AFTER_BLANK
    different = content & _differ(shown, values)
    supported = content & (_neighbours(different) >= SUPPORT)
    share = float(supported.sum()) / count
    return share, share >= REPLACED


def _place(free: Mask) -> Mask | None:
    """The largest free rectangle; None if it is too small for slides."""
    coarse = free.reshape(SLIDE_ROWS // 2, 2, SLIDE_COLUMNS // 2, 2).all(axis=(1, 3))
    if coarse.all():
        return np.ones_like(free)
    top, bottom, left, right = _largest_rectangle(coarse)
    rows, columns = coarse.shape
    if bottom - top < LEAST_SIDE * rows or right - left < LEAST_SIDE * columns:
        return None
    place = np.zeros_like(free)
    place[2 * top : 2 * bottom, 2 * left : 2 * right] = True
    return place


def _largest_rectangle(free: Mask) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of the largest rectangle of true cells; ends are exclusive."""
    best, found = 0, (0, 0, 0, 0)
    heights = np.zeros(free.shape[1], np.int64)
    for row in range(free.shape[0]):
        heights = np.where(free[row], heights + 1, 0)
        open_: list[tuple[int, int]] = []  # (left, height), heights increasing
        for column, height in enumerate([*heights.tolist(), 0]):
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
    return (cells != COVERED) & (np.maximum(cells >> 4, cells & 15) >= CONTENT)


def _differ(a: Cells, b: Cells) -> Mask:
    """Cells that are different; a covered one is not compared."""
    far = [np.abs(one.astype(np.int8) - other.astype(np.int8)) for one, other in ((a >> 4, b >> 4), (a & 15, b & 15))]
    return (np.maximum(*far) >= DIFFERENT) & (a != COVERED) & (b != COVERED)


def _neighbours(mask: Mask) -> npt.NDArray[np.int64]:
    """For each cell, how many of the nine around it are true."""
    padded = np.pad(mask.astype(np.int64), 1)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]


def _bits(history: Cells) -> Cells:
    return np.unpackbits(history[..., np.newaxis], axis=-1).sum(axis=-1, dtype=np.uint8)
