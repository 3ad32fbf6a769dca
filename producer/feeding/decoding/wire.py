"""What the decoder's process and its parent say to each other. JSON, and raw JPEG behind a fresh `Picture`."""

from typing import cast

from msgspec import Struct, json


class FileTarget(Struct, frozen=True, tag="file"):
    """A local file. The path is bytes, because not every name of a file is text."""

    path: bytes


class StreamTarget(Struct, frozen=True, tag="stream"):
    """What FFmpeg opens by an address: a URL, or a camera's device, with its options.

    The URL may hold a password, which is why it goes this way and not by the command line. `may_be_recording`: what
    answers may turn out to be finished and whole.
    """

    url: str
    options: dict[str, str]
    may_be_recording: bool = False
    format: str | None = None


Target = FileTarget | StreamTarget


class Order(Struct, frozen=True):
    """To the decoder, the one line on its standard input: what to decode, and the descriptor to answer on.

    `screen`, width and height in pixels, is how large the pictures are to be taken for; by default as the first is.
    `seen` are marks of key frames that a live source gave before and need not give again. `first` is the first sample
    of a recording that is wanted.
    """

    target: Target
    fps: float
    answers: int
    screen: tuple[int, int] | None = None
    seen: list[str] = []
    first: int = 0


class Opened(Struct, frozen=True, tag="opened"):
    """The first picture is decoded. Size in pixels as displayed, duration in seconds if the file tells it.

    `live`: there is no end to be expected, and what is not read in time is lost.
    """

    width: int
    height: int
    duration: float | None = None
    expected: int | None = None
    live: bool = False


class Refused(Struct, frozen=True, tag="refused"):
    """Instead of `Opened`: nothing can be decoded here, because of `reason`."""

    reason: str


class Picture(Struct, frozen=True, tag="picture"):
    """A sample. If `fresh`, its JPEG is the next message; if not, it shows what the one before it shows."""

    frame: int
    t: float
    fresh: bool


class KeyFrame(Struct, frozen=True, tag="key"):
    """A key frame of a live source that might give it again after a reconnect, and what it can be known by."""

    mark: str


class Alive(Struct, frozen=True, tag="alive"):
    """Decoding goes on, though no sample is due."""


class Ended(Struct, frozen=True, tag="ended"):
    """The last word; `shortfall` says what is missing of the recording, or what a live stream broke off with."""

    shortfall: str | None


Message = Opened | Refused | Picture | KeyFrame | Alive | Ended


def encode(message: Struct) -> bytes:
    return json.encode(message)


def decode_message(data: bytes) -> Message:
    return cast(Message, json.decode(data, type=Message))


def decode_order(data: bytes) -> Order:
    return json.decode(data, type=Order)
