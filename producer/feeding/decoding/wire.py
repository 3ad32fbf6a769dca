"""Messages between the decoder's process and its parent: JSON, and a raw JPEG after a fresh `Sampled`."""

from typing import cast

from msgspec import Struct, json

from worker.contract.chapters import Chapter


class FileTarget(Struct, frozen=True, tag="file"):
    """A local file. The path is bytes, because a file name need not be text.

    `video` is the number, language or title of the video that is read, None for the one that a player shows.
    """

    path: bytes
    video: str | None = None


class StreamTarget(Struct, frozen=True, tag="stream"):
    """What FFmpeg opens by an address: a URL or the device of a camera, with its options.

    The URL may contain a password, so it is sent in this message and not on the command line. If `may_be_recording`,
    the server may answer with a finished recording. `video` is as in FileTarget.
    """

    url: str
    options: dict[str, str]
    may_be_recording: bool = False
    format: str | None = None
    video: str | None = None


class PushTarget(Struct, frozen=True, tag="push"):
    """Where to wait for a push by RTMP, and the `path` (APP/KEY) that its sender must ask for.

    `options` are FFmpeg's. `video` is as in FileTarget.
    """

    host: str
    port: int
    path: str
    options: dict[str, str]
    video: str | None = None


Target = FileTarget | StreamTarget | PushTarget


class Order(Struct, frozen=True):
    """To the decoder, the one line on its standard input: what to decode, and the file descriptor for its answers.

    A live source has sent the `known_key_frames` before (they are marks); pictures before the first new key frame are
    skipped. Of a recording, only samples from tick `first` on are sent. If decoding crashed after the key frame in its
    packet `crashed`, it continues with the next key frame; samples before it are damaged and have any picture.
    """

    target: Target
    fps: float
    answers: int
    known_key_frames: list[str] = []
    first: int = 0
    crashed: int | None = None


class Opened(Struct, frozen=True, tag="opened"):
    """The first picture is decoded. The size is its own, in pixels as displayed.

    `first_tick` is that of the first sample, `expected` the number of samples, if the file declares its length. If the
    source is `live`, pictures that are not read in time are lost. `video` is the number of the chosen video, None if
    there is no other; it is `usual` if a player shows it. `notice` is a line for the user about the source.
    `chapters` are those of a recording.
    """

    width: int
    height: int
    first_tick: int = 0
    expected: int | None = None
    live: bool = False
    video: int | None = None
    usual: bool = True
    notice: str | None = None
    chapters: list[Chapter] = []


class SenderRefused(Struct, frozen=True, tag="refused"):
    """A push was refused or had no picture, for the reason `why`. It comes only before `Opened`."""

    why: str


class DecodingFailed(Struct, frozen=True, tag="failed"):
    """Nothing can be decoded, or nothing more, for this `reason`."""

    reason: str


class Sampled(Struct, frozen=True, tag="sampled"):
    """A sample at `t` seconds. If it is `fresh`, its JPEG is the next message; otherwise it has the previous picture.

    In a recording `t` is `tick` / fps. If it is `damaged`, the picture is not as it was recorded.
    """

    tick: int
    t: float
    fresh: bool
    damaged: bool = False


class KeyFrame(Struct, frozen=True, tag="key"):
    """The `mark` of a key frame, by which it is recognized if the live source sends it again after a reconnect."""

    mark: str


class Decoding(Struct, frozen=True, tag="decoding"):
    """A key frame of a recording is decoded now; its packet has this number among those of the video."""

    packet: int


class Alive(Struct, frozen=True, tag="alive"):
    """Decoding continues, but no sample is due."""


class Ended(Struct, frozen=True, tag="ended"):
    """The last message. `shortfall` says what is missing of a recording, or why a live stream broke off."""

    shortfall: str | None


Message = Opened | SenderRefused | DecodingFailed | Sampled | KeyFrame | Decoding | Alive | Ended


def decode_message(data: bytes) -> Message:
    return cast(Message, json.decode(data, type=Message))
