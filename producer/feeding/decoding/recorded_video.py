"""The video of a recording: its pictures with their times, and whether all of it is there. Loads FFmpeg."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from producer.feeding.decoding.chapters import chapters_in
from producer.feeding.decoding.container import Unreadable, video_in
from producer.feeding.decoding.damage import Damage
from producer.feeding.decoding.extent import TOLERANCE_S, DeclaredExtent, StoredExtent, clearly_before
from producer.feeding.decoding.h264 import frame_numbers_of
from producer.feeding.decoding.sampling import TimedPicture
from producer.feeding.decoding.seeking import Stamp, first_needed
from producer.feeding.decoding.thinning import followed, may_be_sampled
from producer.feeding.decoding.timing import DecodingStamps, PictureClock, StampedPicture, seconds
from producer.presentation.clock import clock
from worker.contract.chapters import Chapter
from worker.contract.limits import MAX_RECORDING_S

# Containers whose clock may restart forward, because recordings were joined or broadcast with a break.
WITH_BREAKS = frozenset({"mpegts", "mpeg", "hls"})

# Containers that may store when a picture is decoded, and not when it is displayed.
WITHOUT_TIMES = frozenset({"avi", "asf", "mxf"})

# Containers in which another stream may take the place of the video later. PyAV 18.1 leaves its packets out. If there
# is no such stream, the packets that are read reach at least READ_SHARE of the file.
WITH_NEW_STREAMS = frozenset({"mpegts"})
READ_SHARE = 0.9

# Codecs whose decoders in FFmpeg do not wait for the first key frame, and show pictures smeared over grey before it.
SMEARING = frozenset({"mpeg4", "h263", "flv", "msmpeg4", "msmpeg4v2", "wmv1", "wmv2"})

NO_TIMES = 0x80
"""FFmpeg's AVFMT_NOTIMESTAMPS: a raw stream."""


def needed_from(container: InputContainer, t: float, alive: Callable[[], None]) -> int:
    """The number of the video's packet with which decoding may start, if only pictures from `t` on are wanted.

    `t` is in seconds from the start of the file. The result is 0 if the packets have no usable times. Reads the
    container up to `t`.
    """
    stream = video_in(container)
    if container.start_time is None or frozenset(container.format.name.split(",")) & (WITH_BREAKS | WITHOUT_TIMES):
        return 0
    try:
        return first_needed(_stamps(container, stream, alive), t + container.start_time / av.time_base)
    except (av.FFmpegError, IndexError):  # damaged, or a stream appeared later: decoding will show it
        return 0


def _stamps(container: InputContainer, stream: VideoStream, alive: Callable[[], None]) -> Iterator[Stamp]:
    for packet in container.demux(stream):
        alive()
        if packet.size == 0 and packet.dts is None:  # the end
            return
        unit = float(packet.time_base or 0)
        yield Stamp(
            None if packet.pts is None else packet.pts * unit,
            None if packet.dts is None else packet.dts * unit,
            packet.is_keyframe,
        )


class RecordedVideo:
    """The video of an open container, one pass. All times are in seconds from the start of the file.

    `fps` is the sampling rate: some pictures that no sample shows are left out. `alive` is called for every packet.
    `reason` explains why reading may fail later. After the first picture, packets before number `first_packet` are not
    decoded, and none up to the next key frame after number `after_crash`. Raises Unreadable if there is no video.
    """

    def __init__(
        self,
        container: InputContainer,
        fps: float,
        alive: Callable[[], None],
        reason: str,
        first_packet: int = 0,
        after_crash: int | None = None,
    ) -> None:
        self._fps = fps
        self._alive = alive
        self._reason = reason
        self._first_packet = first_packet if after_crash is None else max(first_packet, after_crash + 1)
        self._after_crash = after_crash is not None
        self._skipping = self._after_crash
        self._resumed_with: Packet[Stream] | None = None
        self._key_packets: deque[tuple[Packet[Stream], int]] = deque()
        self.decoding: Callable[[int], None] = lambda packet: None
        """Called before a key frame is decoded, with the number of its packet."""
        self._container = container
        self.stream = video_in(container)
        self._formats = frozenset(self._container.format.name.split(","))
        self._still = any(name.endswith("_pipe") for name in self._formats)
        breaks = bool(self._formats & WITH_BREAKS)
        self._declared = DeclaredExtent(container, self.stream, self._formats)
        self._stored = StoredExtent(self.stream, breaks)
        self._clock = PictureClock(self._declared.start, breaks, self._declared.end_of_pictures)
        self._decoding_stamps = DecodingStamps() if self._formats & WITHOUT_TIMES else None
        self._damage = Damage()
        self._frame_numbers = frame_numbers_of(self.stream.codec_context)
        self._last_key_frame = 0.0
        self._none_yet = True
        self._bytes_read = 0
        self._reading_failed = False

    @property
    def duration(self) -> float | None:
        """Seconds until the last picture ends; None if the file does not declare it. Exact after the first picture.

        If the sound is clearly longer, the last picture is held until it ends.
        """
        if self._still:
            return 0.0
        end = self._declared.end_of_display
        return None if end is None else end + self._clock.shift

    @property
    def assumed_rate(self) -> str | None:
        """A notice for the user, if neither the file nor the codec says when pictures are displayed."""
        if not self._container.format.flags & NO_TIMES or self.stream.codec_context.framerate:
            return None
        rate = float(self.stream.average_rate or 25)
        return f"stores no times; {rate:g} pictures per second are assumed; if that is wrong, convert it to mp4 first"

    @property
    def chapters(self) -> list[Chapter]:
        """The chapters in the container; none if it has too many to be chapters."""
        return chapters_in(self._container, self._declared.start or 0.0)

    def pictures(self) -> Iterator[TimedPicture[av.VideoFrame]]:
        """The pictures in the order of display. Of lost pictures, the one before them is repeated as a damaged one.

        The last picture is held until the sound ends. Raises Unreadable if no picture can be decoded.
        """
        rate = self.stream.average_rate
        usual = float(1 / rate) if rate and not self._still else 0.0  # the distance of two pictures, 0 if unknown
        declared = self.duration if self._declared.is_certain else None
        if declared is not None and declared > MAX_RECORDING_S:
            longest = clock(MAX_RECORDING_S)
            raise Unreadable(f"is {clock(declared)} long; the limit of a recording is {longest}; cut it into parts")
        shown: TimedPicture[av.VideoFrame] | None = None
        for timed in self._clock.timed(self._decoded(usual)):
            frame = timed.picture
            stamp = self._stamp_of_picture(frame)
            if stamp is not None and self._decoding_stamps is None:
                self._damage.came(stamp + self._clock.shift, timed.t)
            stands_in_from, damaged = self._damage.displayed(timed.t, frame.key_frame, frame.is_corrupt, usual)
            if shown is not None and stands_in_from is not None:
                yield replace(shown, t=stands_in_from, damaged=True)
            shown = replace(timed, damaged=damaged)
            yield shown
        if shown is None:
            raise Unreadable("contains no picture that can be decoded; check whether a player shows it")
        end, sound_end = self._clock.end, self._clock.sound_end
        if not self._skipping and sound_end > end + TOLERANCE_S and not self._damage.lost_at_the_end:
            declared = self.duration or 0.0
            until = declared if abs(declared - sound_end) < TOLERANCE_S else sound_end
            yield replace(shown, t=end, duration=until - end)

    def shortfall(self, wanted: float = 0.0) -> str | None:
        """After the last picture: what is missing at the end of the recording, in one line, or None.

        After a crash, pictures are `wanted` from this time on.
        """
        reached, end = self._clock.end, self._declared.end
        if self._skipping and wanted < self._stored.video_end:
            return f"nothing after {clock(wanted)} can be decoded; the file is damaged"
        if end is not None and not self._clock.restarted and self._stored.ends_before(end + self._clock.shift, reached):
            whole = clock(end + self._clock.shift)
            return f"the file ends at {clock(reached)} of {whole}; the recording was cut off"
        if self._formats & WITH_NEW_STREAMS and self._bytes_read < READ_SHARE * self._container.size:
            return (
                f"after {clock(reached)} the file continues with another stream, which is not read; convert it to mp4"
            )
        if self._reading_failed:
            return f"nothing can be read beyond {clock(reached)}; {self._reason}"
        if self._damage.lost_at_the_end and clearly_before(reached, self._stored.video_end):
            return f"nothing after {clock(reached)} can be decoded; the file is damaged"
        return None

    def _decoded(self, usual: float) -> Iterator[StampedPicture[av.VideoFrame]]:
        """The pictures as they come from the decoder."""
        for packet in self._thinned():
            if packet is self._resumed_with:
                self.stream.codec_context.flush_buffers()
            if self._key_packets and packet is self._key_packets[0][0]:
                self.decoding(self._key_packets.popleft()[1])
            stamp, t = _stamp_of(packet), self._time_of(packet)
            if self._decoding_stamps is not None:
                self._decoding_stamps.fed(stamp)
            if packet.is_corrupt:
                self._damage.at(t)
            self._find_lost_before(packet, t)
            try:
                frames = self.stream.decode(packet)
            except av.FFmpegError:
                self._damage.at(t)
                if self._decoding_stamps is not None:
                    self._decoding_stamps.failed(stamp)
                continue
            for frame in frames:
                if self._none_yet and not frame.key_frame and self.stream.codec_context.name in SMEARING:
                    continue
                if self._skipping and not self._none_yet:
                    continue
                self._none_yet = False
                own = self._stamp_of_picture(frame)
                if self._decoding_stamps is not None:
                    own = self._decoding_stamps.displayed(own, frame.key_frame)
                yield StampedPicture(
                    own, 0.0 if self._still else seconds(frame.duration, self._unit_of(frame)) or usual, frame
                )

    def _find_lost_before(self, packet: "Packet[Stream]", t: float | None) -> None:
        if self._frame_numbers is None or packet.size == 0:
            return
        if packet is self._resumed_with:
            self._frame_numbers.restart()
        if self._frame_numbers.follow(bytes(packet), packet.is_keyframe):
            # No picture before the last key frame depends on the lost one.
            self._damage.after(self._last_key_frame)
        if packet.is_keyframe and t is not None:
            self._last_key_frame = t

    def _thinned(self) -> "Iterator[Packet[Stream]]":
        """The packets of the video stream. For each, the codec is set to skip it if no sample may show it.

        With 720p25 H.264 with B frames and 2 samples per second this saves 40 % of the time.
        """
        # Not `packet.stream_index`, which is 0 for all packets that flush a decoder at the end.
        own = self._needed(packet for packet in self._packets() if packet.stream.index == self.stream.index)
        if self._formats & (WITH_BREAKS | WITHOUT_TIMES) or self._after_crash:
            for packet in own:  # without reading ahead
                self._damage.fed(self._time_of(packet))
                yield packet
            return
        for packet, t, following in followed(own, self._time_of):
            needless = not (self._none_yet or t is None or following is None) and not may_be_sampled(
                t, following, self._fps
            )
            self.stream.codec_context.skip_frame = "NONREF" if needless else "DEFAULT"
            if not needless:
                self._damage.fed(t)
            yield packet

    def _needed(self, packets: "Iterator[Packet[Stream]]") -> "Iterator[Packet[Stream]]":
        any_dropped = False
        for number, packet in enumerate(packets):
            if self._skipping and not self._none_yet:
                if not packet.is_keyframe or number < self._first_packet:
                    continue
                self._skipping = False
                self._resumed_with = packet
                self._damage.at(None)
                self._clock.end = max(self._clock.end, self._stored.end)  # the clock has not restarted in the gap
            if number < self._first_packet and not self._none_yet:
                any_dropped = True
                continue
            if number == self._first_packet and any_dropped:
                self._resumed_with = packet
            if packet.is_keyframe:
                self._key_packets.append((packet, number))
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
            self._bytes_read = max(self._bytes_read, (packet.pos or 0) + packet.size)
            gap = self._stored.follow(packet, self._clock.shift)
            if gap is not None:
                self._damage.at(gap)
            self._clock.sound_end = self._stored.sound_end
            yield packet

    def _unit_of(self, picture: av.VideoFrame) -> Fraction:
        return picture.time_base or self.stream.time_base or Fraction(0)

    def _stamp_of_picture(self, picture: av.VideoFrame) -> float | None:
        """The stamp of the packet of a picture, rounded as by `_stamp_of`, so that the two are equal."""
        return None if picture.pts is None else seconds(picture.pts, self._unit_of(picture))

    def _time_of(self, packet: "Packet[Stream]") -> float | None:
        """When a packet's picture is displayed, or decoded if the file does not say it; None if it says neither."""
        stamp = _stamp_of(packet)
        return None if stamp is None else stamp + self._clock.shift


def _stamp_of(packet: "Packet[Stream]") -> float | None:
    stamp = packet.dts if packet.pts is None else packet.pts
    return None if stamp is None or packet.time_base is None else seconds(stamp, packet.time_base)
