"""What a worker saw in a chunk: written beside the chunk, until the ordered commit folds it in."""

from typing import Literal

from msgspec import Struct

from worker.contract.messages import Ending, FrameStamp

Reading = tuple[float, float, float, float, float, float, float]
"""Probabilities in the contract's order of emotions."""


class FaceSeen(Struct, frozen=True, array_like=True):
    """One face in one frame. `box` is x, y, width, height in pixels of the source frame.

    `models` holds what each network that was asked about this face says of it. `look` (`appearance.look`) tells
    participants apart; it never leaves the lecture's state.
    """

    box: tuple[float, float, float, float]
    detection: float
    scores: Reading
    models: dict[str, str]
    look: bytes


class FrameSeen(Struct, frozen=True, array_like=True):
    """All faces of one frame."""

    stamp: FrameStamp
    faces: list[FaceSeen]


class Outcome(Struct, frozen=True):
    """What became of one chunk: the frames with what was seen in them, or why there are none.

    `frames` is empty where `failure` says why the chunk could not be worked on, and in the chunk with the `ending`.
    `failed` tells by number which frames could not be looked at, and why. Of several pictures of such a frame, those
    that could are among `frames`. `taken` is the chunk's (`ChunkHead`).
    """

    frames: list[FrameSeen] = []
    failed: dict[int, str] = {}
    failure: str | None = None
    ending: Ending | None = None
    model_version: str = ""
    taken: float | None = None
    v: Literal[1] = 1
