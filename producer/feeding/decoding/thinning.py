"""Which pictures of a recording need no decoding: those that no sample shows, if no other picture depends on them."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from producer.feeding.decoding.sampling import ROUNDING_S

# H.264 and H.265 show a picture at most 16 others later than it is decoded (max_dec_frame_buffering; 16 in both).
REORDERED = 17

P = TypeVar("P")


def followed(packets: Iterable[P], time: Callable[[P], float | None]) -> Iterator[tuple[P, float | None, float | None]]:
    """Every packet, in the order of decoding, with its time of display and that of the picture that comes on after it.

    Both are None where `time` tells none, the second also for the last picture. Reads REORDERED packets ahead.
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


def shown(t: float, following: float, fps: float) -> bool:
    """Whether a sample may show the picture on display from `t` to `following`, seconds from the first picture.

    In doubt, which is ROUNDING_S wide, it may.
    """
    return math.ceil((t - 2 * ROUNDING_S) * fps) / fps < following
