"""How far a recording goes: as its header declares, and as its packets show."""

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from producer.feeding.decoding.timing import CLOCK_BACK_S, CLOCK_FORWARD_S, seconds

# A recording was cut off if it ends earlier than its header declares, by more than TOLERANCE_S and by more than
# TOLERANCE_SHARE of its duration. Rounded headers and longer sound tracks differ by less.
TOLERANCE_S = 1.0
TOLERANCE_SHARE = 0.02

# Containers whose header declares the whole duration. For others FFmpeg guesses it, in MPEG-TS from the existing data.
DECLARING = frozenset({"mov", "mp4", "matroska", "webm", "flv", "asf", "hls"})

# Containers in which some programs declare the end of the clock as the duration, although the clock does not start at
# 0.
END_AS_DURATION = frozenset({"matroska", "webm", "flv"})

# Sound has no pauses. So if there is neither sound nor a picture for longer than this, data is missing.
GAP_S = 1.0


class DeclaredExtent:
    """What the header of a recording declares, in seconds of the file's own clock. `formats` are FFmpeg's names."""

    def __init__(self, container: InputContainer, video: VideoStream, formats: frozenset[str]) -> None:
        self._container = container
        self._video = video
        self._formats = formats
        self.start = self._start()
        """When the file starts; None if that is not known, or not plausible."""

    @property
    def is_certain(self) -> bool:
        """Whether the header declares the duration, so that FFmpeg does not guess it."""
        return bool(self._formats & DECLARING)

    @property
    def end_of_pictures(self) -> float | None:
        end = _declared_end(self._video)
        return self._end_of_container() if end is None else end

    @property
    def end_of_display(self) -> float | None:
        """When the last picture ends. It is displayed until the sound ends, if that is clearly later."""
        end = self.end_of_pictures
        if end is None:
            return None
        sound = max((_declared_end(stream) or 0.0 for stream in self._container.streams.audio), default=0.0)
        return sound if sound > end + TOLERANCE_S else end

    @property
    def end(self) -> float | None:
        """When the file ends, if its header declares it for certain."""
        if "avi" in self._formats:
            # FFmpeg scales the duration of a truncated AVI to its size, but not the number of frames.
            rate = self._video.average_rate
            return float(self._video.frames / rate) if self._video.frames and rate else None
        if not self.is_certain:
            return None
        # A single wrong stamp makes the duration of the container wrong, but not those of the streams.
        ends = [_declared_end(stream) for stream in (*self._container.streams.audio, self._video)]
        known = [end for end in ends if end is not None]
        return max(known) if len(known) == len(ends) else self._end_of_container()

    def _start(self) -> float | None:
        # An AVI has no clock. Its first stamp only says how long the decoder reorders pictures.
        if self._container.start_time is None or "avi" in self._formats:
            return None
        start = self._container.start_time / av.time_base
        if self._video.start_time is not None and self._video.time_base is not None and self._container.duration:
            late = seconds(self._video.start_time, self._video.time_base) - start
            if late > self._container.duration / av.time_base:  # the first stamp of the sound is wrong
                return None
        return start

    def _end_of_container(self) -> float | None:
        duration, start = self._container.duration, self.start or 0.0
        if duration is None:
            return None
        length = duration / av.time_base
        return length if length > start and self._formats & END_AS_DURATION else start + length


class StoredExtent:
    """Follows the packets of sound and video, and finds where they end and where something is missing.

    Times are in seconds on the continued clock of `timing.PictureClock`.
    """

    def __init__(self, video: VideoStream, breaks: bool) -> None:
        """With `breaks`, a step forward of more than CLOCK_FORWARD_S is a clock that restarted, and no gap."""
        self._video = video.index
        self._breaks = breaks
        self._ends: dict[int, float] = {}
        """When each stream ends, without its latest packet."""
        self._latest: dict[int, tuple[float, float]] = {}
        """Begin and end of the latest packet of each stream.

        If the next packet begins far earlier, the stamp of this one is wrong, and its end does not count.
        """
        self._sound_ends: dict[int, float] = {}
        """When each stream of sound ends by the durations of its packets, because their stamps may be wrong."""
        self._furthest = 0.0
        """The end of the packet that is displayed last by its stamp, which may be wrong."""
        self._doubtful_gap: float | None = None

    @property
    def sound_end(self) -> float:
        return max(self._sound_ends.values(), default=0.0)

    @property
    def end(self) -> float:
        return max(self._ends.values(), default=0.0)

    @property
    def video_end(self) -> float:
        return self._ends.get(self._video, 0.0)

    def follow(self, packet: "Packet[Stream]", shift: float) -> float | None:
        """The next packet; `shift` leads from its stamps to the clock. Returns when a gap began, if there is one."""
        stream, stamp = packet.stream, packet.pts if packet.dts is None else packet.dts
        if stream.type not in ("audio", "video") or stamp is None:
            return None
        t = shift + seconds(stamp, packet.time_base)
        duration = seconds(packet.duration or 0, packet.time_base)
        if stream.type == "audio":
            self._sound_ends[stream.index] = self._sound_ends.get(stream.index, t) + duration
        gap = self._gap_before(t)
        if stream.index in self._latest:
            latest, end = self._latest[stream.index]
            if latest <= t + CLOCK_BACK_S:
                self._ends[stream.index] = max(self._ends.get(stream.index, 0.0), end)
        displayed = t if packet.pts is None else shift + seconds(packet.pts, packet.time_base)
        self._furthest = max(self._furthest, displayed + duration)
        self._latest[stream.index] = t, t + duration
        return gap

    def ends_before(self, declared: float, pictures_end: float) -> bool:
        """Whether the file was cut off, if its header declares an end and its last picture ends at `pictures_end`.

        The declared end is ignored if it is that of a packet with a wrong stamp.
        """
        return clearly_before(max(self._furthest, pictures_end), declared)

    def _gap_before(self, t: float) -> float | None:
        """The beginning of a gap before the packet at `t`, which two packets must confirm."""
        if self._doubtful_gap is not None:
            gap, self._doubtful_gap = self._doubtful_gap, None
            return gap if t > gap + GAP_S else None
        sound_end = max((end for index, end in self._ends.items() if index in self._sound_ends), default=None)
        if sound_end is None or self._video not in self._ends or abs(sound_end - self.video_end) > GAP_S:
            return None
        restarted = self._breaks and t > self.end + CLOCK_FORWARD_S
        if t > self.end + GAP_S and not restarted:
            self._doubtful_gap = self.end
        return None


def clearly_before(end: float, later: float) -> bool:
    return later - end > max(TOLERANCE_S, TOLERANCE_SHARE * later)


def _declared_end(stream: Stream) -> float | None:
    if stream.duration is None or stream.time_base is None:
        return None
    return seconds((stream.start_time or 0) + stream.duration, stream.time_base)
