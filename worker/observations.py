"""What a worker saw in a chunk: written beside the chunk, until the ordered commit folds it in."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from worker.contract.limits import CHUNK_PICTURES, FACES_A_FRAME
from worker.contract.messages import Ending, FrameStamp, NonNegative

Share = Annotated[float, Meta(ge=-0.001, le=1.001)]  # single precision may overshoot a little
Reading = tuple[Share, Share, Share, Share, Share, Share, Share]
"""Probabilities in the contract's order of emotions."""

# Every bound here is one that what a worker saw keeps by itself. They are for what somebody else wrote in its place.
Pixels = Annotated[float, Meta(ge=-(2**20), le=2**20)]
Look = Annotated[bytes, Meta(min_length=256, max_length=256)]
Label = Annotated[str, Meta(max_length=64)]


class FaceSeen(Struct, frozen=True, array_like=True):
    """One face in one frame. `box` is x, y, width, height in pixels of the source frame.

    `models` holds what each network that was asked about this face says of it. `look` (`appearance.look`) tells
    participants apart; it never leaves the lecture's state.
    """

    box: tuple[Pixels, Pixels, Pixels, Pixels]
    detection: Share
    scores: Reading
    models: Annotated[dict[Label, Label], Meta(max_length=16)]
    look: Look


class FrameSeen(Struct, frozen=True, array_like=True):
    """All faces of one frame."""

    stamp: FrameStamp
    faces: Annotated[list[FaceSeen], Meta(max_length=FACES_A_FRAME)]


class Outcome(Struct, frozen=True):
    """What became of one chunk: the frames with what was seen in them, or why there are none.

    `frames` is empty where `failure` says why the chunk could not be worked on, and in the chunk with the `ending`.
    `failed` tells by number which frames could not be looked at, and why. Of several pictures of such a frame, those
    that could are among `frames`. `taken` is the chunk's (`ChunkHead`).
    """

    frames: Annotated[list[FrameSeen], Meta(max_length=CHUNK_PICTURES)] = []
    failed: dict[NonNegative, Label] = {}
    failure: Label | None = None
    ending: Ending | None = None
    model_version: Label = ""
    taken: float | None = None
    v: Literal[1] = 1
