"""The address that SOURCE names: a recording, a stream or a camera, and what FFmpeg may open for it."""

import os
import re
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, urlsplit

from msgspec import structs

from producer.feeding.decoding.wire import FileTarget, Opened, PushTarget, StreamTarget, Target
from worker.contract.credentials import UNREADABLE_URL, without_credentials
from worker.contract.limits import MAX_RECORDING_BYTES

# Containers that a stream may have. Without this list FFmpeg would also accept any playlist, and open what it names.
_CONTAINERS = "mpegts,flv,live_flv,mov,matroska"
# HLS, and the containers of its segments.
_HTTP_CONTAINERS = f"hls,avi,{_CONTAINERS},aac,ac3,eac3,mp3,webvtt"
# Redirections lead from one of them to another; `crypto` opens the segments of an encrypted HLS stream.
_HTTP_PROTOCOLS = "http,https,httpproxy,tls,tcp,crypto"

# Microseconds in which FFmpeg detects the streams. By default it waits 5 s for the sound of a silent FLV stream.
_ANALYZE_US = 2_000_000

# Video4Linux: Linux' Documentation/admin-guide/devices.txt.
_V4L_MAJOR = 81

# The usual port of RTMP.
_RTMP_PORT = 1935

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_CAMERA = re.compile(r"/dev/video\d+")


@dataclass(frozen=True)
class Protocol:
    """How FFmpeg opens streams of a protocol: the protocols and containers that it may use, and its options."""

    whitelist: str
    formats: str
    options: Mapping[str, str] = field(default_factory=dict)
    may_be_recording: bool = False
    needs_port: bool = False

    def target(self, url: str) -> StreamTarget:
        options = {
            "protocol_whitelist": self.whitelist,
            "format_whitelist": self.formats,
            "analyzeduration": str(_ANALYZE_US),
        }
        return StreamTarget(url, {**options, **self.options}, self.may_be_recording)


def _trusted() -> dict[str, str]:
    """Options for certificates: those that Python trusts, or SSL_CERT_FILE. By default FFmpeg accepts any."""
    file = ssl.get_default_verify_paths().cafile
    return {"tls_verify": "1", **({"ca_file": file} if file else {})}


# `fflags=nobuffer` is not set. With it FFmpeg would drop the first key frame, which it reads to detect the stream, and
# wait for the next one. Pictures do not come later without it.
_HTTP = Protocol(
    _HTTP_PROTOCOLS,
    _HTTP_CONTAINERS,
    # Start with the newest segment of an HLS stream, not the third before it. Reconnect where a recording broke off.
    {"live_start_index": "-1", "reconnect": "1", "reconnect_delay_max": "10", **_trusted()},
    may_be_recording=True,
)
PROTOCOLS = {
    "rtsp": Protocol("rtsp,rtp,udp,tcp", "rtsp", {"rtsp_flags": "prefer_tcp", "allowed_media_types": "video"}),
    "rtmp": Protocol("rtmp,tcp", _CONTAINERS, {"rtmp_live": "live"}),
    "rtmps": Protocol("rtmps,tls,tcp", _CONTAINERS, {"rtmp_live": "live", **_trusted()}),
    "http": _HTTP,
    "https": _HTTP,
    "udp": Protocol("udp", _CONTAINERS, {"overrun_nonfatal": "1"}, needs_port=True),
    "tcp": Protocol("tcp", _CONTAINERS, needs_port=True),
}
"""The protocols that SOURCE may have. Nothing else is opened."""


class SourceError(Exception):
    """A source that cannot be fed; the message names it, without credentials, and says what to do."""


@dataclass(frozen=True)
class SourceLabel:
    """The names of a source: `shown` in messages, `name` in the lecture's hash, `title` as the base of a lecture id.

    `shown` and `name` contain no password and no query, `name` no folder of the user. `notice` is a line for the user
    about an opened source: which of several videos is read, or that its rate is assumed.
    """

    shown: str
    name: str
    title: str
    notice: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Address(SourceLabel):
    """Where a source is, and its names."""

    target: Target = field(repr=False)

    def reading(self, opened: Opened) -> "Address":
        """This address with the video that the decoder has chosen, so that a reconnection reads the same one.

        If it is not the usual one, its number is in `name`, so that a lecture cannot be resumed with another one.
        """
        target = self.target
        if opened.video is not None:
            target = structs.replace(target, video=str(opened.video))
        name = self.name if opened.usual else f"{self.name} (video {opened.video})"
        return replace(self, name=name, notice=opened.notice, target=target)


def address_of(source: str, video: str | None = None) -> Address:
    """The address that `source` names, of which `video` is to be read (its number, language or title).

    Raises SourceError if there is no such file or camera, the protocol is not supported, or the URL is not well formed.
    It does not check whether a stream answers.
    """
    scheme = _SCHEME.match(source)
    path = Path(source)
    if scheme:
        address = _stream(source, scheme[1].lower())
    else:
        address = _camera(path) if _is_camera(path) else _recording(source, path)
    return replace(address, target=structs.replace(address.target, video=video))


def is_push(source: str) -> bool:
    """Whether `source` waits for a sender. Raises SourceError as `address_of`."""
    return isinstance(address_of(source).target, PushTarget)


def _stream(url: str, scheme: str) -> Address:
    shown = without_credentials(url)
    protocol = PROTOCOLS.get(scheme)
    if protocol is None:
        known = ", ".join(f"{each}://" for each in PROTOCOLS)
        raise SourceError(f"{shown}: {scheme}:// is not supported; give a file, a camera or one of {known}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        url.encode()
    except ValueError:
        raise SourceError(f"{shown}: {UNREADABLE_URL}") from None
    if protocol.needs_port and not port:
        raise SourceError(f"{shown}: lacks its port; write {scheme}://HOST:PORT")
    if not protocol.needs_port and not host:
        raise SourceError(f"{shown}: lacks its host; write {scheme}://HOST/PATH")
    place = shown.partition("://")[2]
    target: Target
    if scheme.startswith("rtmp") and parse_qs(parts.query).get("listen", ["0"]) != ["0"]:
        target = _push(shown, scheme, parts)
    elif scheme.startswith("rtmp") and host in ("0.0.0.0", "::"):  # nosec B104  # nothing is opened here
        raise SourceError(
            f"{shown}: {host} cannot be connected to; to wait for a push, end the address with /APP/KEY?listen=1, "
            "in quotes (a # or ? in the key is %23 or %3F)"
        )
    else:
        target = protocol.target(scheme + url[len(scheme) :])  # FFmpeg does not know a scheme in capitals
    return Address(shown, shown, place.removesuffix(Path(place).suffix) if parts.path else place, target)


def _push(shown: str, scheme: str, parts: SplitResult) -> PushTarget:
    path = parts.path.strip("/")
    if scheme == "rtmps":
        raise SourceError(f"{shown}: rtmps:// cannot listen; write rtmp://, and let a proxy in front of it end TLS")
    if "/" not in path:
        raise SourceError(
            f"{shown}: lacks the key that a sender must have; write rtmp://HOST:PORT/APP/KEY?listen=1, in quotes"
        )
    # Only the container of a push, and no protocol at all.
    options = {"protocol_whitelist": "none", "format_whitelist": "flv", "analyzeduration": str(_ANALYZE_US)}
    return PushTarget(parts.hostname or "", parts.port or _RTMP_PORT, path, options)


def _is_camera(path: Path) -> bool:
    if _CAMERA.fullmatch(str(path)):
        return True
    try:
        found = path.stat()
    except (OSError, ValueError):
        return False
    return stat.S_ISCHR(found.st_mode) and os.major(found.st_rdev) == _V4L_MAJOR


def _camera(path: Path) -> Address:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
    except FileNotFoundError:
        there = ", ".join(map(str, sorted(Path("/dev").glob("video*")))) or "none"
        raise SourceError(f"{path}: no such camera; there is {there}") from None
    except PermissionError:
        raise SourceError(f"{path}: you may not use it; join the group `video`") from None
    except OSError as failure:
        raise SourceError(f"{path}: cannot be opened: {failure.strerror}") from None
    options = {"protocol_whitelist": "none", "format_whitelist": "v4l2"}
    return Address(str(path), str(path), path.name, StreamTarget(str(path), options, format="v4l2"))


def _recording(source: str, path: Path) -> Address:
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise SourceError(f"{source}: is a folder; name a video file in it")
        if not stat.S_ISREG(found.st_mode):
            raise SourceError(f"{source}: is a device or a pipe; give a file")
        if found.st_size == 0:
            raise SourceError(f"{source}: the file is empty; copy or record it again")
        if found.st_size > MAX_RECORDING_BYTES:
            raise SourceError(
                f"{source}: has {found.st_size} bytes; the limit is {MAX_RECORDING_BYTES}; cut it into parts"
            )
        path.open("rb").close()
    except FileNotFoundError:
        raise SourceError(f"{source}: no such file; check the path") from None
    except PermissionError:
        raise SourceError(f"{source}: you may not read it; ask for the permission (chmod +r)") from None
    except (OSError, ValueError) as failure:
        raise SourceError(f"{source!r}: cannot be opened: {failure}") from None
    # A file name need not be text; bytes that are not UTF-8 are replaced.
    name = os.fsencode(path.name).decode(errors="replace")
    return Address(source, name, path.stem, FileTarget(os.fsencode(path)))
