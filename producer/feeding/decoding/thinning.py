"""Which pictures of a recording need no decoding: no sample shows them, and no other picture depends on them."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from producer.feeding.decoding.sampling import ROUNDING_S

# H.264 and H.265 display a picture at most 16 pictures after it is decoded (max_dec_frame_buffering).
REORDERED = 17

P = TypeVar("P")


def followed(packets: Iterable[P], time: Callable[[P], float | None]) -> Iterator[tuple[P, float | None, float | None]]:
    """Every packet, in the order of decoding, with its display time and that of the picture displayed after it.

    Both are None if `time` returns None, the second also for the last picture. Reads REORDERED packets ahead.
    """
    ahead: deque[tuple[P, float | None]] = deque()
    behind: deque[float] = deque(maxlen=REORDERED)

    def first() -> tuple[P, float | None, float | None]:
        packet, t = ahead.popleft()
        if t is None:
            return packet, None, None
        following = min((u for u in (*behind, *(u for _, u in ahead if u is not None)) if u > t), default=None)
        behind.append(t)
        return packet, t, following

    for packet in packets:
        ahead.append((packet, time(packet)))
        if len(ahead) > REORDERED:
            yield first()
    while ahead:
        yield first()


def may_be_sampled(t: float, following: float, fps: float) -> bool:
    """Whether a sample may show the picture displayed from `t` to `following`, in seconds from the first picture.

    If it depends on the rounding of times (ROUNDING_S), the answer is true.
    """
    return math.ceil((t - 2 * ROUNDING_S) * fps) / fps < following
