"""Lost packets of H.264: each reference picture has a number one higher than the one before (ITU-T H.264, 7.4.3).

FFmpeg replaces a lost reference picture by another one and reports no error.
"""

import re
from collections.abc import Iterator

from av.video.codeccontext import VideoCodecContext

_SLICE, _KEY_SLICE, _PARAMETERS = 1, 5, 7

# Profiles whose parameters describe the chroma (7.3.2.1.1).
_WITH_CHROMA = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})

# The numbers are in the first bytes of a unit.
_HEAD = 64


class FrameNumbers:
    """Follows the packets of one H.264 video, in the order of decoding, and finds where reference pictures are missing.

    `extradata` is the codec's, which says how a packet separates its units.
    """

    def __init__(self, extradata: bytes) -> None:
        self._length_size = (extradata[4] & 3) + 1 if len(extradata) > 8 and extradata[0] == 1 else 0
        self._bits: int | None = None
        """The size of a frame number in bits; None if numbers may be left out on purpose, or are not known."""
        self._last: int | None = None
        if self._length_size:
            self._bits = _number_bits(extradata[8 : 8 + _HEAD])
        else:
            self._read_parameters(extradata)

    def restart(self) -> None:
        """The next packet does not follow the last one."""
        self._last = None

    def follow(self, packet: bytes, key: bool) -> bool:
        """Whether a reference picture is missing before this packet. Before a key frame that does not matter."""
        self._read_parameters(packet)
        unit = next((unit for unit in self._units(packet) if unit[0] & 31 in (_SLICE, _KEY_SLICE)), None)
        if self._bits is None or unit is None:
            return False
        bits = _Bits(unit)
        for _ in ("first macroblock", "type of slice", "picture parameters"):
            bits.exponential()
        number, last = bits.fixed(self._bits), self._last
        is_reference = bool(unit[0] & 0x60)
        # After a picture that resets the numbers (memory management, operation 5) comes 1.
        follows = key or last is None or number == 1 or number in (last, (last + 1) % 2**self._bits)
        if is_reference or last is None:
            self._last = number
        elif not follows:
            self._last = number - 1
        return not follows

    def _read_parameters(self, packet: bytes) -> None:
        for unit in self._units(packet):
            if unit[0] & 31 == _PARAMETERS:
                self._bits = _number_bits(unit)

    def _units(self, packet: bytes) -> Iterator[bytes]:
        """The first bytes of each unit (NAL unit) of a packet."""
        if not self._length_size:
            for mark in re.finditer(b"\0\0\1", packet):
                if mark.end() < len(packet):
                    yield packet[mark.end() : mark.end() + _HEAD]
            return
        at = 0
        while at + self._length_size < len(packet):
            begin = at + self._length_size
            yield packet[begin : begin + _HEAD]
            at = begin + int.from_bytes(packet[at:begin], "big")


def frame_numbers_of(context: VideoCodecContext) -> FrameNumbers | None:
    """For the packets of this decoder; None if they are not H.264."""
    return FrameNumbers(context.extradata or b"") if context.name == "h264" else None


def _number_bits(parameters: bytes) -> int | None:
    """The size of a frame number in bits by sequence parameters (7.3.2.1.1).

    None if numbers may be left out on purpose, or in rare formats that are not parsed.
    """
    bits = _Bits(parameters)
    profile = bits.fixed(8)
    bits.fixed(16)
    bits.exponential()
    if profile in _WITH_CHROMA:
        if bits.exponential() == 3:
            return None
        bits.exponential()
        bits.exponential()
        bits.fixed(1)
        if bits.fixed(1):  # scaling matrices
            return None
    size = bits.exponential() + 4
    order = bits.exponential()
    if order == 0:
        bits.exponential()
    elif order != 2:
        return None
    bits.exponential()
    may_be_left_out = bits.fixed(1)
    return None if may_be_left_out or size > 16 else size


class _Bits:
    """The bits of a unit, without its first byte. After the end, all are 0."""

    def __init__(self, unit: bytes) -> None:
        payload = unit[1:_HEAD].replace(b"\0\0\3", b"\0\0")
        self._value = int.from_bytes(payload, "big") << 64
        self._left = len(payload) * 8 + 64

    def fixed(self, count: int) -> int:
        self._left = max(0, self._left - count)
        return self._value >> self._left & ((1 << count) - 1)

    def exponential(self) -> int:
        """An unsigned Exp-Golomb code (9.1)."""
        zeros = 0
        while zeros < 32 and not self.fixed(1):
            zeros += 1
        return (1 << zeros) - 1 + self.fixed(zeros)
