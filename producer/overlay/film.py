"""Writes a film: pictures as H.264, and the sound of another file as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import IO, cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from producer.feeding.decoding.container import video_in
from producer.feeding.decoding.recorded_video import WITH_BREAKS
from producer.feeding.decoding.timing import PictureClock, StampedPicture, seconds
from producer.overlay.drawing import Picture

CODEC = "libx264" if "libx264" in av.codecs_available else "mpeg4"

# For libx264: faster than real time on one core, and the faces stay as sharp as they were.
OPTIONS = {"crf": "20", "preset": "veryfast"} if CODEC == "libx264" else {"qscale": "3"}

FORMATS = {".mp4": "mp4", ".mkv": "matroska"}


class Film:
    """A film that is written to an open file. A context manager: at its end the film is complete.

    `sound` is a container whose sound is copied, None without any. `sound_lost` is the name of its codec if the format
    of the film cannot hold it; it is left out then.
    """

    def __init__(
        self, file: IO[bytes], format: str, size: tuple[int, int], fps: Fraction, sound: InputContainer | None
    ) -> None:
        """`size` is width and height in pixels, both even; `fps` the pictures per second."""
        self._film = av.open(file, "w", format=format)
        self._video = cast(VideoStream, self._film.add_stream(CODEC, rate=fps, options=OPTIONS))
        self._video.width, self._video.height, self._video.pix_fmt = *size, "yuv420p"
        self._unit = 1 / fps
        self._video.codec_context.time_base = self._unit
        self.sound_lost: str | None = None
        self._packets: Iterator[Packet[AudioStream]] = iter(())
        best = sound.streams.best("audio") if sound is not None else None
        if sound is not None and isinstance(best, AudioStream):
            name = best.codec_context.name
            if name in self._film.supported_codecs:
                self._packets = _copied(sound, best, self._film.add_stream_from_template(best))
            else:
                self.sound_lost = name
        self._waiting = next(self._packets, None)

    def __enter__(self) -> Film:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._film.mux(self._video.encode())
            self._sound_until(None)
        self._film.close()

    def add(self, picture: Picture, number: int) -> None:
        """Add a picture [height, width, 3], BGR, displayed from `number` / fps seconds on."""
        frame = av.VideoFrame.from_ndarray(picture, "bgr24")
        frame.pts, frame.time_base = number, self._unit
        self._sound_until(number * self._unit)
        self._film.mux(self._video.encode(frame))

    def _sound_until(self, t: Fraction | None) -> None:
        """Copy the sound up to `t` seconds, None for all of it."""
        while (packet := self._waiting) is not None:
            if t is not None and packet.dts is not None and packet.time_base and packet.dts * packet.time_base > t:
                return
            self._film.mux(packet)
            self._waiting = next(self._packets, None)


def _copied(sound: InputContainer, source: AudioStream, target: AudioStream) -> Iterator[Packet[AudioStream]]:
    """The packets of the sound, with times from the start of the file.

    Wrong stamps and a clock that restarts change as little as with pictures. Sound that cannot be read ends there.
    """
    unit = Fraction(source.time_base or 1)
    start = round(Fraction(sound.start_time or 0, av.time_base) / unit)
    clock = PictureClock(None, sound.format.name in WITH_BREAKS)
    first = last = 0
    for n, timed in enumerate(clock.timed(_stamped(sound, source, clock))):
        packet = timed.picture
        if n == 0:
            first = (packet.dts or 0) - start
            last = first - 1
        last = packet.dts = packet.pts = max(first + round(timed.t / unit), last + 1)  # a format needs growing times
        packet.stream = target
        yield packet


def _stamped(
    sound: InputContainer, source: AudioStream, clock: PictureClock
) -> Iterator[StampedPicture[Packet[AudioStream]]]:
    """The packets of the sound with their stamps. Pictures keep the `clock` from taking missing sound for a restart."""
    video, pictures_s = video_in(sound), 0.0
    with suppress(av.FFmpegError):
        for packet in sound.demux(source, video):
            unit = packet.time_base or Fraction(1)
            duration = seconds(packet.duration or 0, unit)
            if packet.stream is video:
                pictures_s += duration
            elif packet.dts is not None:
                clock.sound_end = max(clock.sound_end, clock.end + pictures_s)
                pictures_s = 0.0
                yield StampedPicture(seconds(packet.dts, unit), duration, cast("Packet[AudioStream]", packet))
