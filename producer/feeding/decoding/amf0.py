"""AMF0, the form of RTMP's commands (Adobe's "Action Message Format - AMF 0", 2007). Pure."""

import struct

# Objects may be in objects; those of commands are not deeper.
_DEEPEST = 8

_END_OF_OBJECT = b"\0\0\x09"


class Malformed(ValueError):
    """Bytes that are not AMF0, or have a type that no command needs."""


def decoded(data: bytes) -> list[object]:
    """All values in `data`, at least one: float, bool, str, dict, list or None. Raises Malformed."""
    values, at = [], 0
    try:
        while at < len(data):
            value, at = _value(data, at, _DEEPEST)
            values.append(value)
    except (IndexError, struct.error, UnicodeDecodeError):
        raise Malformed("a command is cut off") from None
    if not values:
        raise Malformed("an empty command")
    return values


def encoded(*values: object) -> bytes:
    """The values (float, bool, str, dict or None) as AMF0."""
    return b"".join(map(_encoded, values))


def _value(data: bytes, at: int, depth: int) -> tuple[object, int]:
    """The value at `at`, and where the next one is."""
    kind, at = data[at], at + 1
    if kind == 0:
        return struct.unpack_from(">d", data, at)[0], at + 8
    if kind == 1:
        return bool(data[at]), at + 1
    if kind == 2:
        return _text(data, at)
    if kind in (3, 8) and depth:
        found: dict[str, object] = {}
        at += 4 * (kind == 8)  # the length of an array with names
        while data[at : at + 3] != _END_OF_OBJECT:
            name, at = _text(data, at)
            found[name], at = _value(data, at, depth - 1)
        return found, at + 3
    if kind == 10 and depth:  # an array without names, such as the codecs of Enhanced RTMP
        count, at = int(struct.unpack_from(">I", data, at)[0]), at + 4
        items: list[object] = []
        while len(items) < count:
            item, at = _value(data, at, depth - 1)
            items.append(item)
        return items, at
    if kind in (5, 6):  # null, undefined
        return None, at
    raise Malformed(f"type {kind} in a command")


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = at + 2 + int(struct.unpack_from(">H", data, at)[0])
    if end > len(data):
        raise IndexError
    return data[at + 2 : end].decode(), end


def _encoded(value: object) -> bytes:
    if isinstance(value, bool):
        return bytes([1, value])
    if isinstance(value, float):
        return b"\0" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"\2" + _text_bytes(value)
    if isinstance(value, dict):
        return b"\3" + b"".join(_text_bytes(name) + _encoded(each) for name, each in value.items()) + _END_OF_OBJECT
    return b"\5"


def _text_bytes(text: str) -> bytes:
    return struct.pack(">H", len(text.encode())) + text.encode()
