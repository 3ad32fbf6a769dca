"""The outcome of a chunk: what perception observed in it, stored beside the chunk until the ordered commit folds it.

Here perception and folding meet; neither knows the other.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from worker.contract.limits import MAX_CHUNK_PICTURES, MAX_FACES
from worker.contract.messages import Ending, FrameStamp, NonNegative, Pose, Unreadable
from worker.contract.reasons import FailureReason

# Everything that a worker of ours writes is within these bounds. They limit what a stranger may write to Redis.
Share = Annotated[float, Meta(ge=-0.001, le=1.001)]  # float32 may exceed 0 to 1 a little
ScoreVector = tuple[Share, Share, Share, Share, Share, Share, Share]
"""Seven probabilities in the contract's order of emotions."""

Pixels = Annotated[float, Meta(ge=-(2**20), le=2**20)]
DESCRIPTOR_BYTES = 248  # an older version had 256, so its outcomes do not fit
Descriptor = Annotated[bytes, Meta(min_length=DESCRIPTOR_BYTES, max_length=DESCRIPTOR_BYTES)]
"""An appearance descriptor: int8 values as bytes (`perception.appearance` makes them)."""
Label = Annotated[str, Meta(max_length=64)]

SLIDE_COLUMNS, SLIDE_ROWS = 64, 36
SLIDE_LEVELS = 15
COVERED = 255
SlideDescriptor = Annotated[bytes, Meta(min_length=SLIDE_COLUMNS * SLIDE_ROWS, max_length=SLIDE_COLUMNS * SLIDE_ROWS)]
"""The structure of a picture's cells (`perception.slides` makes it): two levels of four bits, below SLIDE_LEVELS, or
COVERED where a person is shown."""


class FaceObservation(Struct, frozen=True, array_like=True):
    """One face in one frame.

    `box` is x, y, width, height in pixels of the source frame, `detection` the detection score. `models` has the most
    likely emotion according to each model that predicted this face. `appearance` distinguishes participants; it is
    never published. A face that cannot be read has no `scores` and no `models`; `unreadable` is the reason. Outcomes of
    workers from before `pose` have None.
    """

    box: tuple[Pixels, Pixels, Pixels, Pixels]
    detection: Share
    scores: ScoreVector | None
    models: Annotated[dict[Label, Label], Meta(max_length=16)]
    appearance: Descriptor
    unreadable: Unreadable | None = None
    pose: Pose | None = None


class FrameObservation(Struct, frozen=True, array_like=True):
    """All faces of one frame, and what is shown beside them. A recording of one of several people has no `slide`."""

    stamp: FrameStamp
    faces: Annotated[list[FaceObservation], Meta(max_length=MAX_FACES)]
    slide: SlideDescriptor | None = None


class Outcome(Struct, frozen=True):
    """The observations of one chunk, or the reason why there are none.

    `frames` is empty if the whole chunk failed (`failure` is the reason), and in the last chunk, which has an `ending`.
    `failed` maps the number of each single frame that failed to the reason. If such a frame has pictures of several
    recordings, the pictures that could be read are still in `frames`. `taken` is copied from the chunk (`ChunkHead`).
    """

    frames: Annotated[list[FrameObservation], Meta(max_length=MAX_CHUNK_PICTURES)] = field(default_factory=list)
    failed: dict[NonNegative, FailureReason] = field(default_factory=dict)
    failure: FailureReason | None = None
    ending: Ending | None = None
    model_version: Label = ""
    taken: float | None = None
    v: Literal[1] = 1
