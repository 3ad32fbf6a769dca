"""The video of a live stream: its pictures as they come. Loads FFmpeg."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from zlib import crc32

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from producer.feeding.decoding.container import Unreadable, discard_all_but, reason_of, video_in
from producer.feeding.decoding.damage import Damage
from producer.feeding.decoding.h264 import frame_numbers_of
from producer.feeding.decoding.pacing import StreamClock
from producer.feeding.decoding.sampling import TimedPicture


class LiveVideo:
    """The chosen video of a live source, for one connection. Raises Unreadable if there is none.

    `alive` is called for every packet. After a reconnection, a web server may send old video again, such as the last
    HLS segment. So if `remembering`, the marks of key frames are collected in `marks`, and all pictures before the
    first key frame that is not among `known_key_frames` are skipped.
    """

    def __init__(
        self,
        container: InputContainer,
        alive: Callable[[], None],
        remembering: bool = False,
        known_key_frames: Iterable[str] = (),
    ) -> None:
        self._container = container
        self._alive = alive
        self._remembering = remembering
        self._known_key_frames = frozenset(known_key_frames)
        self.marks: deque[str] = deque()
        self._damage = Damage()
        self.stream = video_in(container)
        context = self.stream.codec_context
        self._frame_numbers = frame_numbers_of(context)
        discard_all_but(self.stream)
        # Each picture comes as soon as it is decoded, not when the codec is sure that none belongs before it.
        context.flags |= Flags.low_delay
        self._repeating = bool(self._known_key_frames)
        self.broken_off: str | None = None
        """After the last picture: the error with which the stream broke off; None if it ended."""

    def pictures(self) -> Iterator[TimedPicture[av.VideoFrame]]:
        """Every picture, with its time in seconds since the first. Pictures that cannot be decoded are skipped.

        After an error, pictures are damaged until the next key frame. Raises Unreadable if the stream ends without a
        picture.
        """
        clock = StreamClock()
        none_yet = True
        for frame in self._decoded():
            none_yet = False
            t = clock.at(frame.time, time.monotonic())
            _, damaged = self._damage.displayed(t, frame.key_frame, frame.is_corrupt, usual=0.0)
            yield TimedPicture(t, 0.0, frame, damaged)
        if none_yet:
            raise Unreadable(self.broken_off or "the stream ended without a new picture")

    def _decoded(self) -> Iterator[av.VideoFrame]:
        packets = self._container.demux(self.stream)
        while True:
            self._alive()
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError) as failure:
                self.broken_off = reason_of(failure)
                return
            if packet is None:
                return
            if self._remembering and packet.is_keyframe:
                self._remember(packet)
            if self._repeating:
                continue
            lost = self._frame_numbers is not None and self._frame_numbers.follow(bytes(packet), packet.is_keyframe)
            if packet.is_corrupt or lost:
                self._damage.at(None)
            try:
                frames = self.stream.decode(packet)
            except av.FFmpegError:
                self._damage.at(None)  # a packet was lost on the way; pictures that depend on it cannot be decoded
                continue
            # The spatial layers of a picture have the same time, and the largest comes last.
            yield from {id(frame) if frame.pts is None else frame.pts: frame for frame in frames}.values()

    def _remember(self, packet: "Packet[VideoStream]") -> None:
        mark = f"{packet.pts}:{crc32(bytes(packet)):x}"
        self._repeating = self._repeating and mark in self._known_key_frames
        if not self._repeating:
            self.marks.append(mark)
