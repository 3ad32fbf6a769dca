"""Where each participant's face was, for drawing over the recording: from events, thinned where they are too many."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from producer.reading.analysis.names import natural_order
from worker.contract.messages import EmotionEvent, Event, PixelBox

MAX_BOXES = 200_000
"""An hour of 25 people at 2 frames per second has 180,000. They take 2 to 3 bytes each in a report."""

MAX_SHAPE_DIFFERENCE = 0.02
"""How much wider or narrower the picture of a recording may be than that of its lecture, as a part of its shape."""

STAYS_FRAMES = 1.05
"""A box is shown until the next frame, and a little longer, because times are rounded."""


@dataclass(frozen=True)
class Boxes:
    """The boxes of `participants`, of every `every`-th frame.

    `times` holds an array [n] for each participant: seconds of media time, increasing. `boxes` holds their boxes
    [n, 4]: x, y, width, height in pixels of a picture with the lecture's size.
    """

    participants: list[str]
    every: int
    times: list[npt.NDArray[np.float64]]
    boxes: list[npt.NDArray[np.int64]]


class BoxesBuilder:
    """Collects boxes from events, at most MAX_BOXES: if there are more, those of every second frame, every fourth..."""

    def __init__(self, limit: int = MAX_BOXES) -> None:
        self._limit = limit
        self._every = 1
        self._count = 0
        self._seen: dict[str, list[tuple[int, float, PixelBox]]] = defaultdict(list)

    def add(self, event: Event) -> None:
        if not isinstance(event, EmotionEvent) or event.frame % self._every:
            return
        self._seen[event.participant].append((event.frame, event.t, event.box))
        self._count += 1
        while self._count > self._limit:
            self._every *= 2
            for seen in self._seen.values():
                seen[:] = [each for each in seen if each[0] % self._every == 0]
            self._count = sum(map(len, self._seen.values()))

    def boxes(self) -> Boxes:
        """All boxes that were kept."""
        known = sorted(
            ((each, seen) for each, seen in self._seen.items() if seen), key=lambda each: natural_order(each[0])
        )
        return Boxes(
            [participant for participant, _ in known],
            self._every,
            [np.array([t for _, t, _ in seen]) for _, seen in known],
            [np.array([box for _, _, box in seen]) for _, seen in known],
        )


def slack_s(fps: float) -> float:
    """By how many seconds a recording may be longer or shorter than its lecture."""
    return max(3.0, 2 / fps)


def several_recordings(source: str, participants: Collection[str]) -> bool:
    """Whether a lecture was made of several recordings, each of one person. A box is then in one of them only.

    `source` is the lecture's.
    """
    named = own_recordings(source)
    return len(named) > 1 and named >= set(participants)


def own_recordings(source: str) -> set[str]:
    """The ids of participants with a recording of their own, like `alice=a.mp4`. `source` is the lecture's."""
    return {each.partition("=")[0] for each in source.split(", ") if "=" in each}
