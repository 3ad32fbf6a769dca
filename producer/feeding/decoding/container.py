"""What FFmpeg opens, a file or an address, and the video in it."""

import errno
import time
from typing import BinaryIO

import av
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from producer.feeding.decoding.wire import StreamTarget
from worker.contract.limits import MAX_FRAME_PIXELS, MAX_RECORDING_BYTES

# For a connection and the answer to it, and once more to see what comes. A camera that sends one key frame in ten
# seconds, the rarest in use, shows its first picture within it.
OPEN_S = 10.0

# Without a packet for so long a stream is taken for cut off. An HLS stream rests between two of its segments, of which
# Apple's rules (HLS Authoring Specification, 7.5) want 6 s and older ones 10 s.
READ_S = 15.0

# FFmpeg guesses the length of a running HLS stream by dividing the size of its list by the bit rate: milliseconds.
LEAST_RECORDING_S = 1.0


class Unreadable(Exception):
    """There is no video to be had here; the message says why and what to do, without the name of the source."""


def open_file(file: BinaryIO) -> InputContainer:
    """The recording in an open file. Raises Unreadable.

    FFmpeg reads through `file` and never learns its name, so no pattern or protocol in it is interpreted, and what a
    playlist names is not opened.
    """
    try:
        return av.open(_Nameless(file), "r", options={"protocol_whitelist": "none"}, metadata_errors="replace")
    except av.FFmpegError as failure:
        raise Unreadable(_why_no_file(file, failure)) from None


def open_stream(target: StreamTarget) -> InputContainer:
    """The stream or camera at an address; what it waits for takes no longer than OPEN_S and READ_S. Raises Unreadable.

    Nothing but the protocols and formats that the target's options name is opened, whatever the stream says.
    """
    begun = time.monotonic()
    try:
        return av.open(
            target.url,
            "r",
            format=target.format,
            options=target.options,
            timeout=(OPEN_S, READ_S),
            metadata_errors="replace",
        )
    except (av.FFmpegError, OSError) as failure:
        raise Unreadable(_why_no_stream(target.url, failure, time.monotonic() - begun)) from None


def is_recording(container: InputContainer) -> bool:
    """Whether what answered at an address is finished and whole: its length is known, or how many bytes it has.

    Raises Unreadable if these are too many.
    """
    if container.size > MAX_RECORDING_BYTES:
        raise Unreadable(f"has {container.size} bytes; the most is {MAX_RECORDING_BYTES}; cut it into parts")
    if container.duration is not None and container.duration > LEAST_RECORDING_S * av.time_base:
        return True
    return container.format.name != "hls" and container.size > 0  # what a running HLS stream has is its list's size


def video_in(container: InputContainer) -> VideoStream:
    """The best video stream, ready to be decoded; nothing else is read from the container. Raises Unreadable."""
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        raise Unreadable("holds no video, only sound or text; give a recording with a picture")
    if stream.codec_context is None:
        raise Unreadable("holds video in a format that is not known here; convert it to H.264")
    context = stream.codec_context
    if context.width * context.height > MAX_FRAME_PIXELS:
        raise Unreadable(
            f"has {context.width}x{context.height} pixels; the most is {MAX_FRAME_PIXELS} (8192x8192); scale it down"
        )
    context.options = {**context.options, "max_pixels": str(MAX_FRAME_PIXELS)}  # should it grow on the way
    # One thread decodes 1350 frames of 720p H.264 in a CPU second, FFmpeg's own choice of threads 1150 (PyAV 18.1,
    # 2 cores); the other cores are the workers'.
    context.thread_count = 1
    return stream


def discard_all_but(stream: VideoStream) -> None:
    """Have nothing else fetched: an HLS stream offers the same pictures in several sizes, and sound."""
    for other in stream.container.streams:
        if other.index != stream.index:
            other.discard = Discard.all


def reason_of(failure: Exception) -> str:
    """What FFmpeg says went wrong, without the address, which may hold a password."""
    if isinstance(failure, av.error.ExitError):
        return f"nothing came for {READ_S:g} s"
    return str(getattr(failure, "strerror", None) or type(failure).__name__)


class _Nameless:
    """A file without the `name` by which FFmpeg would guess formats and patterns."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self.seek = file.seek
        self.tell = file.tell


def _why_no_file(file: BinaryIO, failure: av.FFmpegError) -> str:
    file.seek(0)
    head = file.read(8)
    if head[4:] == b"ftyp":
        return "is an mp4 that was never finished or is cut off: its index (moov) is missing; copy or record it again"
    if head.startswith(b"#EXTM3U"):
        return "is a playlist, of which nothing is opened; give the recording that it names, or its URL (https://...)"
    if isinstance(failure, av.InvalidDataError):
        return "is no video that can be read; give an mp4, mkv, webm, mov or avi file"
    return f"cannot be read as video: {failure.strerror}; see whether a player shows it"


def _why_no_stream(url: str, failure: Exception, seconds: float) -> str:
    if seconds >= OPEN_S:  # how it is reported differs from protocol to protocol
        return f"nothing came within {OPEN_S:g} s; see whether it is being sent, and whether a player shows it"
    if isinstance(failure, ConnectionRefusedError):
        return "nobody answers there (connection refused); check host and port, and that it is being sent"
    if isinstance(failure, av.HTTPUnauthorizedError | av.HTTPForbiddenError):
        return "user or password is refused; put the right ones before the host (//USER:PASSWORD@HOST)"
    if isinstance(failure, av.HTTPNotFoundError):
        return "there is nothing at this path; check the URL"
    if isinstance(failure, av.InvalidDataError | av.ArgumentError):  # no format, or none of those that are read
        return "sends no video that can be read; see whether a player shows it"
    if url.startswith(("https:", "rtmps:")) and getattr(failure, "errno", None) == errno.EIO:
        return "no secure connection: host or port is wrong, or the certificate not trusted (see SSL_CERT_FILE)"
    return f"cannot be opened ({reason_of(failure)}); check host, port and path"
