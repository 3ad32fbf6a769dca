"""Open a file or an address with FFmpeg, and find the video in it."""

import errno
import time
from io import BytesIO
from typing import BinaryIO

import av
from av.container import InputContainer
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from producer.feeding.decoding.wire import StreamTarget
from worker.contract.limits import MAX_FRAME_PIXELS, MAX_RECORDING_BYTES

# FFmpeg may wait this many seconds for a connection and its answer, and as long again to detect the streams. Cameras
# send a key frame at least every ten seconds.
OPEN_S = 10.0

# Seconds without a packet after which a stream counts as cut off. An HLS stream pauses between two segments. They are 6
# s long by Apple's rules (HLS Authoring Specification, 7.5), and were 10 s by older rules.
READ_S = 15.0

# FFmpeg reports a running HLS stream as some milliseconds long (size of the playlist by bit rate). So a recording must
# be at least this long.
LEAST_RECORDING_S = 1.0

# Only comments come before `<MPD` in a DASH manifest. One with an entry for each second of a day has 4 MiB.
DASH_HEAD_BYTES = 16 * 2**10
MAX_DASH_BYTES = 16 * 2**20

# Segments of a DASH manifest may have any name. By default FFmpeg opens only segments with a usual extension, to
# protect the files of this machine. Here the whitelist of protocols forbids files.
_ANY_EXTENSION = {"extension_picky": "0", "allowed_extensions": "ALL", "allowed_segment_extensions": "ALL"}


class Unreadable(Exception):
    """There is no readable video; the message says why and what to do, without the name of the source."""


class UnknownFormat(Unreadable):
    """The content is in no format that FFmpeg can read and may open."""


def open_file(file: BinaryIO) -> InputContainer:
    """The recording in an open file. Raises Unreadable.

    FFmpeg reads through `file` and does not know its name. So it interprets no pattern or protocol in the name, and
    opens no file that a playlist names.
    """
    try:
        return av.open(_Nameless(file), "r", options={"protocol_whitelist": "none"}, metadata_errors="replace")
    except av.FFmpegError as failure:
        raise Unreadable(_why_no_file(file, failure)) from None


def open_stream(target: StreamTarget, playlist: bytes | None = None) -> InputContainer:
    """The stream or camera at an address, or the HLS `playlist` that `dash` made of what is there.

    FFmpeg waits at most OPEN_S to open it, and READ_S for each packet. It opens only the protocols and formats in the
    target's options, whatever the stream asks for. Raises UnknownFormat, or Unreadable for another reason.
    """
    begun = time.monotonic()
    try:
        return av.open(
            target.url if playlist is None else _Nameless(BytesIO(playlist)),
            "r",
            format=target.format if playlist is None else "hls",
            options=target.options if playlist is None else {**target.options, **_ANY_EXTENSION},
            timeout=(OPEN_S, READ_S),
            metadata_errors="replace",
        )
    except (av.FFmpegError, OSError) as failure:
        error = UnknownFormat if isinstance(failure, av.InvalidDataError) else Unreadable
        raise error(_why_no_stream(target.url, failure, time.monotonic() - begun)) from None


def read_dash(target: StreamTarget) -> bytes | None:
    """The DASH manifest at an address; None if there is something else. Raises Unreadable."""
    options = {**target.options, "format_whitelist": "data"}
    content = bytearray()
    try:
        with av.open(target.url, format="data", options=options, timeout=(OPEN_S, READ_S)) as container:
            for packet in container.demux():
                content += bytes(packet)
                if len(content) > DASH_HEAD_BYTES and b"<MPD" not in content[:DASH_HEAD_BYTES]:
                    return None
                if len(content) > MAX_DASH_BYTES:
                    raise Unreadable(f"is a DASH manifest of more than {MAX_DASH_BYTES} bytes; cut it into parts")
    except (av.FFmpegError, OSError):
        return None
    return bytes(content) if b"<MPD" in content[:DASH_HEAD_BYTES] else None


def is_recording(container: InputContainer) -> bool:
    """Whether an opened address is a finished recording: its length in seconds or bytes is known.

    Raises Unreadable if it has too many bytes.
    """
    if container.size > MAX_RECORDING_BYTES:
        raise Unreadable(f"has {container.size} bytes; the limit is {MAX_RECORDING_BYTES}; cut it into parts")
    if container.duration is not None and container.duration > LEAST_RECORDING_S * av.time_base:
        return True
    # The size of a running HLS stream is that of its playlist.
    return container.format.name != "hls" and container.size > 0


def video_in(container: InputContainer) -> VideoStream:
    """The video that `choosing` has selected, otherwise FFmpeg's choice, ready to be decoded. Raises Unreadable."""
    selected = (video for video in container.streams.video if video.discard == Discard.none)
    stream = next(selected, None) or container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        raise Unreadable("contains no video, only sound or text; give a recording with a picture")
    if stream.codec_context is None:
        raise Unreadable("contains video in an unknown format; convert it to H.264")
    context = stream.codec_context
    if context.width * context.height > MAX_FRAME_PIXELS:
        raise Unreadable(
            f"has {context.width}x{context.height} pixels; the limit is {MAX_FRAME_PIXELS} (8192x8192); scale it down"
        )
    context.options = {**context.options, "max_pixels": str(MAX_FRAME_PIXELS)}  # its size may grow later
    # One thread needs less CPU time than FFmpeg's own choice of threads, and leaves the other cores to the workers.
    context.thread_count = 1
    return stream


def discard_all_but(stream: VideoStream, sound: Stream | None = None) -> None:
    """Fetch no other stream. An HLS stream offers the same pictures in several sizes, and sound."""
    for other in stream.container.streams:
        if other is not stream and other is not sound:
            other.discard = Discard.all


def reason_of(failure: Exception) -> str:
    """FFmpeg's error message without the address, which may contain a password."""
    if isinstance(failure, av.error.ExitError):
        return f"nothing came for {READ_S:g} s"
    return str(getattr(failure, "strerror", None) or type(failure).__name__)


class _Nameless:
    """A file without the `name` from which FFmpeg would guess formats and patterns."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self.seek = file.seek
        self.tell = file.tell


def _why_no_file(file: BinaryIO, failure: av.FFmpegError) -> str:
    file.seek(0)
    head = file.read(1000)
    if head[4:8] == b"ftyp":
        return "is an unfinished or truncated mp4: its index (moov) is missing; copy or record it again"
    if head.startswith(b"#EXTM3U") or b"<MPD" in head:
        return "is a playlist, and nothing in it is opened; give the recording that it names, or its URL (https://...)"
    if isinstance(failure, av.InvalidDataError):
        return "is not a readable video; give an mp4, mkv, webm, mov or avi file"
    return f"cannot be read as video: {failure.strerror}; check whether a player shows it"


def _why_no_stream(url: str, failure: Exception, seconds: float) -> str:
    if seconds >= OPEN_S:  # each protocol reports it in another way
        return f"nothing came within {OPEN_S:g} s; check whether it is being sent, and whether a player shows it"
    if isinstance(failure, ConnectionRefusedError):
        return "nobody answers there (connection refused); check host and port, and whether it is being sent"
    if isinstance(failure, av.HTTPUnauthorizedError | av.HTTPForbiddenError):
        return "user or password is refused; put the correct ones before the host (//USER:PASSWORD@HOST)"
    if isinstance(failure, av.HTTPNotFoundError):
        return "there is nothing at this path; check the URL"
    if isinstance(failure, av.InvalidDataError | av.ArgumentError):  # no format, or none of the allowed ones
        return "sends no readable video; check whether a player shows it"
    if url.startswith(("https:", "rtmps:")) and getattr(failure, "errno", None) == errno.EIO:
        return "no secure connection: host or port is wrong, or the certificate is not trusted (see SSL_CERT_FILE)"
    return f"cannot be opened ({reason_of(failure)}); check host, port and path"
