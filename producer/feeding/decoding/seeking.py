"""Where decoding may start if a recording is wanted from its middle on."""

from collections.abc import Iterable
from typing import NamedTuple

# Decoding starts at the second key frame before the wanted picture, not at the nearest. Pictures right after a key
# frame may depend on pictures before it (open GOP), and with intra refresh a key frame is complete only at the next
# one.
KEY_FRAMES_BEFORE = 2


class Stamp(NamedTuple):
    """When a packet's picture is displayed and when it is decoded, in seconds, and whether it is a key frame."""

    displayed: float | None
    decoded: float | None
    key: bool


def first_needed(packets: Iterable[Stamp], t: float) -> int:
    """The number of the packet with which decoding may start, if pictures are wanted from `t` on.

    `packets` are in the order of decoding, `t` is in seconds of the same clock. The picture on display at `t` is then
    decoded too. 0 if the times do not show it: a packet has none, or the clock restarts on the way.
    """
    clock = float("-inf")
    keys: list[int] = []
    for number, packet in enumerate(packets):
        if packet.displayed is None or packet.decoded is None or packet.decoded < clock:
            return 0
        clock = packet.decoded
        if clock > t:  # no picture is displayed before it is decoded
            break
        if packet.key and packet.displayed <= t:
            keys.append(number)
    return keys[-KEY_FRAMES_BEFORE] if len(keys) >= KEY_FRAMES_BEFORE else 0
