"""Small films whose pictures show their number, and a function that reads it from a JPEG."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, cast

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.stream import Disposition

BITS = 8
MILLISECOND = Fraction(1, 1000)


def numbered(number: int, width: int, height: int, noise: int = 0) -> npt.NDArray[np.uint8]:
    """A picture of eight bars, black or white, that write `number` in binary; `noise` makes its JPEG large."""
    picture = np.zeros((height, width, 3), np.uint8)
    for bit in range(BITS):
        if number >> bit & 1:
            picture[:, width * bit // BITS : width * (bit + 1) // BITS] = 255 - noise
    if noise:
        picture += np.random.default_rng(number).integers(0, noise, picture.shape, np.uint8)
    return picture


def number_of(jpeg: bytes) -> int:
    """The number that a frame's picture shows."""
    picture = pixels(jpeg)
    bars = np.array_split(picture.mean(axis=(0, 2)), BITS)
    return sum(1 << bit for bit, bar in enumerate(bars) if np.median(bar) > 127)


def pixels(jpeg: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def elsewhere(make: Callable[..., Path], *given: Any, **named: Any) -> Path:
    """`make(...)` in a process of its own. SVT-AV1 gives its process real-time priority if root runs it."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(make, *given, **named).result()


def film(
    path: Path,
    codec: str = "libx264",
    *,
    pictures: int = 50,
    fps: int = 25,
    times_ms: Sequence[int] | None = None,
    size: tuple[int, int] = (320, 240),
    pixel_format: str = "yuv420p",
    noise: int = 0,
    first_pts: int = 0,
    sound_s: float = 0.0,
    mux_options: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
) -> Path:
    """Write numbered pictures, at `fps` or at `times_ms`; with `sound_s` seconds of sound, the first stream."""
    with av.open(str(path), "w", options=mux_options or {}) as output:
        sound: Any = output.add_stream("aac", rate=8000, layout="mono") if sound_s else None
        video: Any = output.add_stream(codec, rate=fps, options=codec_options or _quick(codec))
        video.width, video.height = size
        video.pix_fmt = pixel_format
        if times_ms is not None:
            video.codec_context.time_base = MILLISECOND
        times = range(pictures) if times_ms is None else times_ms
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(numbered(number, *size, noise), "bgr24")
            frame.pts = time + first_pts
            frame.time_base = Fraction(1, fps) if times_ms is None else MILLISECOND
            output.mux(video.encode(frame))
        output.mux(video.encode())
        if sound is not None:
            _mux_silence(output, sound, sound_s)
    return path


def resized(path: Path, codec: str, sizes: Sequence[tuple[int, int]], *, pictures: int = 25, fps: int = 25) -> Path:
    """Write `pictures` numbered pictures of each size, one after the other in one video stream."""
    with av.open(str(path), "w") as output:
        stream: Any = None
        for part, (width, height) in enumerate(sizes):
            encoder: Any = output.add_stream(codec, rate=fps, options=_quick(codec)) if stream is None else None
            if stream is None:
                stream, context = encoder, encoder.codec_context
            else:
                context = cast(Any, av.CodecContext.create(codec, "w"))
                context.options, context.framerate = _quick(codec), Fraction(fps)
            context.width, context.height, context.pix_fmt = width, height, "yuv420p"
            context.time_base = Fraction(1, fps)
            for number in range(part * pictures, (part + 1) * pictures):
                frame = av.VideoFrame.from_ndarray(numbered(number, width, height), "bgr24")
                frame.pts, frame.time_base = number, Fraction(1, fps)
                _mux(output, stream, context.encode(frame))
            _mux(output, stream, context.encode())
    return path


def _mux(output: Any, stream: Any, packets: Any) -> None:
    for packet in packets:
        packet.stream = stream
        output.mux(packet)


def copied(path: Path, target: Path, change: Callable[[Any], bool | None]) -> Path:
    """The same packets in another file. `change` may change a packet, or return False to leave it out."""
    with av.open(str(path)) as source, av.open(str(target), "w") as output:
        streams = {stream.index: output.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.size and change(packet) is not False:
                packet.stream = streams[packet.stream.index]
                output.mux(packet)
    return target


def sound_only(path: Path, seconds: float = 1.0) -> Path:
    with av.open(str(path), "w") as output:
        sound: Any = output.add_stream("aac", rate=8000, layout="mono")
        sound.id = 300  # different from the film's in a transport stream
        _mux_silence(output, sound, seconds)
    return path


# ISO 14496-12, the matrix of `tkhd`: a b c d of (x, y) -> (ax + cy, bx + dy), y downwards, in 16.16 fixed point.
CLOCKWISE = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


def turned(path: Path, degrees: int) -> Path:
    """Mark an mp4 as turned clockwise by `degrees`, as a phone does."""
    return with_matrix(path, *CLOCKWISE[degrees])


def with_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Give an mp4 this display matrix."""
    data = path.read_bytes()
    matrix = data.index(b"tkhd") + 4 + 40
    entries = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    turned_matrix = b"".join(entry.to_bytes(4, "big", signed=True) for entry in entries)
    path.write_bytes(data[:matrix] + turned_matrix + data[matrix + 36 :])
    return path


def cut(path: Path, share: float = 0.5) -> Path:
    """Keep only the first `share` of the file's bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def damage_bits(path: Path, share: float) -> Path:
    """Destroy some bytes of the picture data at this share of the file."""
    data = bytearray(path.read_bytes())
    at = int(len(data) * share)
    data[at : at + 40] = bytes(byte ^ 0xA5 for byte in data[at : at + 40])
    path.write_bytes(data)
    return path


def as_matroska(video: Path, path: Path) -> Path:
    """The same pictures in a container that can be read when it is truncated."""
    with av.open(str(video)) as source, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    return path


class Track(NamedTuple):
    """A film as one of several videos in a file. `pictures` limits how many of its pictures it has."""

    film: Path
    title: str = ""
    language: str = ""
    disposition: Disposition = Disposition(0)
    pictures: int = 1 << 30


def several(path: Path, *tracks: Track, options: dict[str, str] | None = None) -> Path:
    """A file with several videos; their packets are in the order of time."""
    with ExitStack() as stack:
        output = stack.enter_context(av.open(str(path), "w", options=options or {}))
        packets = []
        for track in tracks:
            source = stack.enter_context(av.open(str(track.film)))
            stream = output.add_stream_from_template(source.streams.video[0])
            stream.disposition = track.disposition
            stream.metadata.update({k: v for k, v in (("title", track.title), ("language", track.language)) if v})
            own = [packet for packet in source.demux(video=0) if packet.dts is not None][: track.pictures]
            packets += [(float(packet.dts * packet.time_base), stream, packet) for packet in own]
        for _, stream, packet in sorted(packets, key=lambda each: each[0]):
            packet.stream = stream
            output.mux(packet)
    return path


def _mux_silence(output: Any, sound: Any, seconds: float) -> None:
    for start in range(0, round(seconds * 8000), 1024):
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        samples.sample_rate, samples.pts, samples.time_base = 8000, start, Fraction(1, 8000)
        output.mux(sound.encode(samples))
    output.mux(sound.encode())


def _quick(codec: str) -> dict[str, str]:
    return {
        "libx264": {"preset": "ultrafast", "bf": "2"},
        "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=none:frame-threads=1"},
        "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
    }.get(codec, {})
