"""What the decoder's process and its parent say to each other. JSON, and raw JPEG behind a fresh `Picture`."""

from typing import cast

from msgspec import Struct, json


class Order(Struct, frozen=True):
    """To the decoder, the one line on its standard input: what to decode, and the descriptor to answer on.

    The path is bytes, because not every name of a file is text.
    """

    path: bytes
    fps: float
    answers: int


class Opened(Struct, frozen=True, tag="opened"):
    """The first picture is decoded. Size in pixels as displayed, duration in seconds if the file tells it."""

    width: int
    height: int
    duration: float | None
    expected: int | None


class Refused(Struct, frozen=True, tag="refused"):
    """Instead of `Opened`: nothing can be decoded here, because of `reason`."""

    reason: str


class Picture(Struct, frozen=True, tag="picture"):
    """A sample. If `fresh`, its JPEG is the next message; if not, it shows what the one before it shows."""

    frame: int
    t: float
    fresh: bool


class Alive(Struct, frozen=True, tag="alive"):
    """Decoding goes on, though no sample is due."""


class Ended(Struct, frozen=True, tag="ended"):
    """The last word; `shortfall` says what is missing of the recording, if something is."""

    shortfall: str | None


Message = Opened | Refused | Picture | Alive | Ended


def encode(message: Struct) -> bytes:
    return json.encode(message)


def decode_message(data: bytes) -> Message:
    return cast(Message, json.decode(data, type=Message))


def decode_order(data: bytes) -> Order:
    return json.decode(data, type=Order)
