"""Damaged videos: small good ones of many kinds, and ways to damage them."""

from pathlib import Path
from random import Random

import cv2

from tests.producer.feeding.films import film, numbered

KINDS = {
    "a.mp4": ("libx264", {}),
    "b.mp4": ("mpeg4", {}),
    "a.mkv": ("libx264", {}),
    "a.ts": ("libx264", {}),
    "a.avi": ("mpeg4", {}),
    "a.webm": ("libvpx-vp9", {}),
    "a.mov": ("mjpeg", {"pixel_format": "yuvj420p"}),
    "a.gif": ("gif", {"pixel_format": "rgb8"}),
    "a.flv": ("libx264", {}),
    "fragmented.mp4": ("libx264", {"mux_options": {"movflags": "frag_keyframe+empty_moov"}}),
}
"""File name -> codec, and further options of `film`."""

# Extreme values of length and count fields.
_EXTREMES = [b"\0\0\0\0", b"\0\0\0\1", b"\x80\0\0\0", b"\x7f\xff\xff\xff", b"\xff" * 4, b"\xff" * 8]


def seeds(folder: Path) -> dict[str, bytes]:
    """Name -> content of small good videos, rendered into `folder`."""
    made = {}
    for name, (codec, options) in KINDS.items():
        path = film(folder / name, codec, pictures=12, size=(64, 48), **options)  # type: ignore[arg-type]
        made[name] = path.read_bytes()
    made["a.jpg"] = cv2.imencode(".jpg", numbered(5, 64, 48))[1].tobytes()
    made["a.png"] = cv2.imencode(".png", numbered(5, 64, 48))[1].tobytes()
    return made


def mutated(random: Random, good: dict[str, bytes]) -> tuple[str, bytes]:
    """One of `good`, by name, damaged in one to six ways."""
    name = random.choice(sorted(good))
    data = bytearray(good[name])
    for _ in range(random.randint(1, 6)):
        random.choice(_WAYS)(random, data, good)
        if not data:
            data = bytearray(b"\0")
    return name, bytes(data)


def _place(random: Random, data: bytearray) -> int:
    """A random position, most often near the beginning or the end, where headers are."""
    size = len(data)
    near = min(size, 600)
    return random.choice([random.randrange(size), random.randrange(near), size - 1 - random.randrange(near)])


def _flip_bits(random: Random, data: bytearray, _: dict[str, bytes]) -> None:
    for _n in range(random.choice([1, 4, 40])):
        data[_place(random, data)] ^= 1 << random.randrange(8)


def _put_extreme(random: Random, data: bytearray, _: dict[str, bytes]) -> None:
    at, extreme = _place(random, data), random.choice(_EXTREMES)
    data[at : at + len(extreme)] = extreme


def _cut_off(random: Random, data: bytearray, _: dict[str, bytes]) -> None:
    del data[_place(random, data) :]


def _cut_out(random: Random, data: bytearray, _: dict[str, bytes]) -> None:
    at = _place(random, data)
    del data[at : at + random.choice([1, 4, 188, 1000])]


def _repeat(random: Random, data: bytearray, _: dict[str, bytes]) -> None:
    at = _place(random, data)
    data[at:at] = data[at : at + random.choice([4, 188, 1000])] * random.choice([1, 3, 50])


def _noise(random: Random, data: bytearray, _: dict[str, bytes]) -> None:
    at = _place(random, data)
    data[at : at + 64] = random.randbytes(64)


def _splice(random: Random, data: bytearray, good: dict[str, bytes]) -> None:
    other = good[random.choice(sorted(good))]
    at = random.randrange(len(other))
    data[_place(random, data) :] = other[at:]


_WAYS = [_flip_bits, _flip_bits, _put_extreme, _put_extreme, _cut_off, _cut_out, _repeat, _noise, _splice]
