"""The video of a recording: its pictures with their times, and whether all of it is there. Loads FFmpeg."""

from collections.abc import Callable, Iterator

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from producer.feeding.decoding.container import Unreadable, video_in
from producer.feeding.decoding.sampling import TimedPicture
from producer.feeding.decoding.seeking import Stamp, first_needed
from producer.feeding.decoding.thinning import followed, may_be_sampled
from producer.presentation.clock import clock
from worker.contract.limits import MAX_RECORDING_S

# A recording was cut off if it ends earlier than its header declares, by more than TOLERANCE_S and by more than
# TOLERANCE_SHARE of its duration. Rounded headers and longer sound tracks differ by less.
TOLERANCE_S = 1.0
TOLERANCE_SHARE = 0.02

# Containers whose header declares the whole duration. For others FFmpeg guesses it, in MPEG-TS from the existing data.
DECLARING = frozenset({"mov", "mp4", "matroska", "webm", "flv", "asf", "hls"})

# A larger step back is not jitter: recordings were joined, or broadcast with a break, and the clock restarted.
CLOCK_BACK_S = 1.0

# In the containers WITH_BREAKS, FFmpeg takes a restarted clock for an overflow and reports a step forward by 26 hours.
# In other containers a large step is a picture that is shown for long. The ffmpeg program uses the same 10 s
# (-dts_delta_threshold).
CLOCK_FORWARD_S = 10.0
WITH_BREAKS = frozenset({"mpegts", "mpeg", "hls"})

# Containers that do not store display times.
WITHOUT_TIMES = frozenset({"avi"})


def needed_from(container: InputContainer, t: float, alive: Callable[[], None]) -> int:
    """The number of the video's packet with which decoding may start, if only pictures from `t` on are wanted.

    `t` is in seconds from the first picture. The result is 0 if the packets have no usable times. Reads the container
    up to `t`.
    """
    stream = video_in(container)
    if frozenset(container.format.name.split(",")) & (WITH_BREAKS | WITHOUT_TIMES):
        return 0
    try:
        return first_needed(_stamps(container, stream, alive), t)
    except (av.FFmpegError, IndexError):  # damaged, or a stream appeared later: decoding will show it
        return 0


def _stamps(container: InputContainer, stream: VideoStream, alive: Callable[[], None]) -> Iterator[Stamp]:
    for packet in container.demux(stream):
        alive()
        if packet.size == 0 and packet.dts is None:  # the end
            return
        tick = float(packet.time_base or 0)
        yield Stamp(
            None if packet.pts is None else packet.pts * tick,
            None if packet.dts is None else packet.dts * tick,
            packet.is_keyframe,
        )


class RecordedVideo:
    """The best video stream of an open container, one pass.

    `fps` is the sampling rate: some pictures that no sample shows are left out. `alive` is called for every packet.
    `damage` is the explanation if reading fails later. After the first picture, packets before number `first_packet`
    are not decoded. Raises Unreadable if there is no video.
    """

    def __init__(
        self, container: InputContainer, fps: float, alive: Callable[[], None], damage: str, first_packet: int = 0
    ) -> None:
        self._fps = fps
        self._alive = alive
        self._damage = damage
        self._first_packet = first_packet
        self._resumed_with: Packet[Stream] | None = None
        self._container = container
        self._stream = video_in(container)
        self._formats = frozenset(self._container.format.name.split(","))
        self._still = any(name.endswith("_pipe") for name in self._formats)
        # All in seconds on the file's own clock; `_shift` continues it when it restarts.
        self._first = 0.0
        self._last = 0.0
        self._pictures_end = 0.0
        self._packets_end = 0.0
        self._shift = 0.0
        self._none_yet = True
        self._undecodable: list[float] = []
        self._reading_failed = False

    @property
    def duration(self) -> float | None:
        """Seconds of video, None if the file does not declare it; 0 for a still. Exact after the first picture."""
        if self._still:
            return 0.0
        if self._stream.duration is not None and self._stream.time_base is not None:
            return float(self._stream.duration * self._stream.time_base)
        if self._container.duration is None:
            return None
        return max(0.0, (self._start_time() + self._container.duration) / av.time_base - self._first)

    def pictures(self) -> Iterator[TimedPicture[av.VideoFrame]]:
        """The pictures in the order of display, `t` in seconds from the first.

        Pictures that cannot be decoded are skipped and counted for `shortfall`. Raises Unreadable if none can be.
        """
        usual = 0.0 if self._still or not self._stream.average_rate else float(1 / self._stream.average_rate)
        declared = self.duration if self._formats & DECLARING else None
        if declared is not None and declared > MAX_RECORDING_S:
            longest = clock(MAX_RECORDING_S)
            raise Unreadable(f"is {clock(declared)} long; the limit of a recording is {longest}; cut it into parts")
        for frame in self._decoded():
            tick = float(frame.time_base or self._stream.time_base or 0)
            stamp = frame.dts if self._formats & WITHOUT_TIMES else frame.pts
            t = self._pictures_end if stamp is None else stamp * tick + self._shift
            if self._none_yet:
                self._first = self._last = t
                self._none_yet = False
            elif self._clock_restarted(t):
                self._shift += self._pictures_end - t
                t = self._packets_end = self._pictures_end
            self._last = max(self._last, t)
            duration = 0.0 if self._still else frame.duration * tick or usual
            self._pictures_end = self._last + duration
            yield TimedPicture(self._last - self._first, duration, frame)
        if self._none_yet:
            raise Unreadable("contains no picture that can be decoded; check whether a player shows it")

    def shortfall(self) -> str | None:
        """After the last picture: what is missing of the recording, in one line, or None if all of it was there."""
        reached = self._pictures_end - self._first
        declared_end = self._declared_end()
        if declared_end is not None and self._clearly_before(self._packets_end, declared_end):
            whole = clock(declared_end - self._first)
            return f"the file ends at {clock(reached)} of {whole}; the recording was cut off"
        if self._reading_failed:
            return f"nothing can be read beyond {clock(reached)}; {self._damage}"
        if self._undecodable and self._clearly_before(self._pictures_end, self._packets_end):
            return f"nothing after {clock(reached)} can be decoded; the file is damaged"
        # Only errors between the first and the last picture count: a recording may start or end between key frames.
        inside = [t - self._first for t in self._undecodable if self._first < t < self._last]
        if inside:
            between = f"between {clock(inside[0])} and {clock(inside[-1])}"
            return f"the file is damaged: {len(inside)} of its pictures {between} cannot be decoded"
        return None

    def _decoded(self) -> Iterator[av.VideoFrame]:
        for packet in self._own_packets():
            if packet is self._resumed_with:
                self._stream.codec_context.flush_buffers()
            try:
                frames = self._stream.decode(packet)
            except av.FFmpegError:
                t = self._time_of(packet)
                self._undecodable.append(self._packets_end if t is None else t)
                continue
            for frame in frames:
                if isinstance(frame, av.VideoFrame):
                    yield frame

    def _own_packets(self) -> "Iterator[Packet[Stream]]":
        """The packets of the video stream. For each, the codec is set to skip it if no sample may show it.

        With 720p25 H.264 with B frames and 2 samples per second this saves 40 % of the time.
        """
        # Not `packet.stream_index`, which is 0 for all packets that flush a decoder at the end.
        own = self._needed(packet for packet in self._packets() if packet.stream.index == self._stream.index)
        if self._formats & (WITH_BREAKS | WITHOUT_TIMES):
            yield from own
            return
        for packet, t, following in followed(own, self._time_of):
            skipped = not (self._none_yet or t is None or following is None) and not may_be_sampled(
                t - self._first, following - self._first, self._fps
            )
            self._stream.codec_context.skip_frame = "NONREF" if skipped else "DEFAULT"
            yield packet

    def _needed(self, packets: "Iterator[Packet[Stream]]") -> "Iterator[Packet[Stream]]":
        any_dropped = False
        for number, packet in enumerate(packets):
            if number < self._first_packet and not self._none_yet:
                any_dropped = True
                continue
            if number == self._first_packet and any_dropped:
                self._resumed_with = packet
            yield packet

    def _packets(self) -> "Iterator[Packet[Stream]]":
        packets = self._container.demux()
        while True:
            self._alive()
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                self._reading_failed = True
                return
            except IndexError:
                # PyAV 18.1 raises this at the end of a file in which a stream appeared later. Our packets came before.
                return
            if packet is None:
                return
            t = self._time_of(packet)
            if t is not None:
                end = t + float((packet.duration or 0) * packet.time_base)
                self._packets_end = max(self._packets_end, end)
            yield packet

    def _time_of(self, packet: "Packet[Stream]") -> float | None:
        """The display time of a packet, or its decoding time, in seconds on the continued clock; None if unknown."""
        stamp = packet.dts if packet.pts is None else packet.pts
        return None if stamp is None or packet.time_base is None else float(stamp * packet.time_base) + self._shift

    def _clock_restarted(self, t: float) -> bool:
        if t < self._last - CLOCK_BACK_S:
            return True
        return t > self._pictures_end + CLOCK_FORWARD_S and bool(self._formats & WITH_BREAKS)

    def _declared_end(self) -> float | None:
        if "avi" in self._formats:
            # FFmpeg scales the duration of a truncated AVI to its size, but not the number of frames.
            rate = self._stream.average_rate
            return float(self._stream.frames / rate) if self._stream.frames and rate else None
        if self._container.duration is None or not self._formats & DECLARING:
            return None
        return (self._start_time() + self._container.duration) / av.time_base

    def _clearly_before(self, end: float, later: float) -> bool:
        return later - end > max(TOLERANCE_S, TOLERANCE_SHARE * (later - self._first))

    def _start_time(self) -> int:
        """The start of the file's own clock, in units of 1 / av.time_base seconds."""
        return self._container.start_time or 0
