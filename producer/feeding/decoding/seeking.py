"""Where decoding may begin if a recording is wanted from its middle on."""

from collections.abc import Iterable
from typing import NamedTuple

# Pictures right behind a key frame may lean on some before it (open GOP), and where pictures are refreshed bit by bit
# (intra refresh) what is marked as a key frame is whole only when the next one comes. So one more than the nearest.
KEY_FRAMES_BEFORE = 2


class Stamp(NamedTuple):
    """When a packet's picture is displayed and when it is decoded, in seconds, and whether it is a key frame."""

    displayed: float | None
    decoded: float | None
    key: bool


def first_needed(packets: Iterable[Stamp], t: float) -> int:
    """How many of `packets`, in the order of decoding, need no decoding if pictures are wanted from `t` on.

    `t` is in seconds from the first picture; the one on display then is among those that are decoded. 0 where that
    cannot be told: a packet has no times, or the clock began anew on the way.
    """
    start, clock = float("inf"), float("-inf")
    keys: list[int] = []
    for number, packet in enumerate(packets):
        if packet.displayed is None or packet.decoded is None or packet.decoded < clock:
            return 0
        start, clock = min(start, packet.displayed), packet.decoded
        if clock > start + t:  # no picture is displayed before it is decoded
            break
        if packet.key and packet.displayed <= start + t:
            keys.append(number)
    return keys[-KEY_FRAMES_BEFORE] if len(keys) >= KEY_FRAMES_BEFORE else 0
