"""The receiving side of RTMP, as much of it as one push of video needs (Adobe's RTMP specification 1.0).

FFmpeg can listen too, but it takes a push with any key.
"""

import hmac
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import unquote

from producer.feeding.decoding.amf0 import Malformed, decoded, encoded

# Bytes of the handshake's packets (section 5.2).
_HELLO = 1536

# Bytes of a message before the key is checked. A command has some hundreds.
_MAX_COMMAND = 16 * 2**10

# Chunk streams of one connection. Encoders use five.
_MAX_CHUNK_STREAMS = 64

# Message types (sections 5.4 and 7.1).
_CHUNK_SIZE, _ABORT, _ACKNOWLEDGED, _WINDOW, _BANDWIDTH = 1, 2, 3, 5, 6
_VIDEO, _COMMAND_AMF3, _COMMAND = 9, 17, 20

# Bytes after which we acknowledge what came, unless the sender asks for another number.
_WINDOW_BYTES = 2_500_000

# An FLV file with video, and its first "previous tag size".
_FLV_HEADER = b"FLV\1\1\0\0\0\x09" + bytes(4)


class Refused(Exception):
    """A sender that does not speak RTMP, or has a wrong key."""


@dataclass
class _ChunkStream:
    """The last header of a chunk stream, and the message that its chunks form.

    `field` is the timestamp in the header (ms, or 0xFFFFFF if it follows the header), `timestamp` that of the message.
    """

    length: int = 0
    kind: int = 0
    field: int = 0
    timestamp: int = 0
    message: bytearray | None = None


class Push:
    """A connection of a sender. First call `accept`; then `read` returns the video as an FLV file.

    `accepted` is set when `claim` has returned True. The connection may still break before `accept` returns.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._incoming = connection.makefile("rb")
        self._streams: dict[int, _ChunkStream] = {}
        self._chunk_size = 128
        self._window = _WINDOW_BYTES
        self._received = self._acknowledged = 0
        self._app = ""
        self.accepted = self._over = False
        self._flv = bytearray(_FLV_HEADER)

    def accept(self, path: str, claim: Callable[[], bool]) -> None:
        """Answer until the sender publishes.

        Raises Refused if it asks for another path than `path` (APP/KEY), or `claim` returns False; OSError or EOFError
        if the connection breaks.
        """
        try:
            self._shake_hands()
            while not self.accepted:
                _, kind, message = self._message()
                if kind in (_COMMAND, _COMMAND_AMF3):
                    self._answer(decoded(message[kind == _COMMAND_AMF3 :]), path, claim)
        except Malformed as wrong:
            raise Refused(str(wrong)) from None

    def read(self, size: int) -> bytes:
        """At most `size` bytes of FLV, nothing at the end of the push. Raises OSError if the connection breaks."""
        while not self._flv and not self._over:
            try:
                timestamp, kind, message = self._message()
                if kind == _VIDEO and message:
                    tag = struct.pack(">II", _VIDEO << 24 | len(message), (timestamp & 0xFFFFFF) << 8 | timestamp >> 24)
                    self._flv += tag + bytes(3) + message + (11 + len(message)).to_bytes(4, "big")
                elif kind in (_COMMAND, _COMMAND_AMF3):
                    with suppress(Malformed):  # a command that is not needed
                        name = decoded(message[kind == _COMMAND_AMF3 :])[0]
                        self._over = name in ("FCUnpublish", "closeStream", "deleteStream")
            except Refused:
                raise OSError(0, "the sender broke the rules of RTMP") from None
            except EOFError:
                self._over = True
        found = bytes(self._flv[:size])
        del self._flv[:size]
        return found

    def close(self) -> None:
        self._incoming.close()
        self._connection.close()

    def _shake_hands(self) -> None:
        if self._bytes(1) != b"\3":
            raise Refused("it does not speak RTMP")
        theirs = self._bytes(_HELLO)
        # A version of zero: without Adobe's digests.
        self._connection.sendall(b"\3" + bytes(8) + os.urandom(_HELLO - 8) + theirs)
        self._bytes(_HELLO)

    def _answer(self, command: list[object], path: str, claim: Callable[[], bool]) -> None:
        name, number, *arguments = command if len(command) > 1 else (*command, None)
        if name == "connect":
            asked = arguments[0] if arguments and isinstance(arguments[0], dict) else {}
            self._app = str(asked.get("app", ""))
            self._send(_WINDOW, _WINDOW_BYTES.to_bytes(4, "big"))
            self._send(_BANDWIDTH, _WINDOW_BYTES.to_bytes(4, "big") + b"\2")
            server = {"fmsVer": "FMS/3,0,1,123", "capabilities": 31.0}
            self._command("_result", number, server, _status("NetConnection.Connect.Success", objectEncoding=0.0))
        elif name == "publish":
            asked_path = f"{self._app}/{arguments[1] if len(arguments) > 1 else ''}"
            right = hmac.compare_digest(_plain(asked_path), _plain(path))
            if not right or not claim():
                self._command("onStatus", 0.0, None, _status("NetStream.Publish.BadName", "error"), stream=1)
                raise Refused("wrong app or key" if not right else "another sender pushes")
            self.accepted = True
            self._command("onStatus", 0.0, None, _status("NetStream.Publish.Start"), stream=1)
        elif name in ("createStream", "releaseStream", "FCPublish"):
            self._command("_result", number, None, 1.0 if name == "createStream" else None)

    def _message(self) -> tuple[int, int, bytes]:
        """The next whole message that is not about the protocol itself: timestamp in ms, type, content."""
        while True:
            stream = self._chunk()
            if stream.message is None or len(stream.message) < stream.length:
                continue
            message, stream.message = bytes(stream.message), None
            if stream.kind == _CHUNK_SIZE:
                self._chunk_size = max(1, int.from_bytes(message[:4], "big") & 0x7FFFFFFF)
            elif stream.kind == _WINDOW:
                self._window = max(1, int.from_bytes(message[:4], "big"))
            elif stream.kind == _ABORT:
                if aborted := self._streams.get(int.from_bytes(message[:4], "big")):
                    aborted.message = None
            else:
                return stream.timestamp, stream.kind, message

    def _chunk(self) -> _ChunkStream:
        """Read one chunk (section 5.3.1)."""
        first = self._bytes(1)[0]
        form, number = first >> 6, first & 63
        if number < 2:
            number = 64 + int.from_bytes(self._bytes(1 + number), "little")
        stream = self._streams.setdefault(number, _ChunkStream())
        if len(self._streams) > _MAX_CHUNK_STREAMS:
            raise Refused("too many chunk streams")
        if form < 3:
            stream.field = int.from_bytes(self._bytes(3), "big")
        if form < 2:
            stream.length = int.from_bytes(self._bytes(3), "big")
            stream.kind = self._bytes(1)[0]
        if form == 0:
            self._bytes(4)  # the message stream: there is one
        if stream.length > _MAX_COMMAND and not self.accepted:
            raise Refused("too long a message")
        extended = int.from_bytes(self._bytes(4), "big") if stream.field == 0xFFFFFF else stream.field
        if stream.message is None:
            stream.timestamp = (extended if form == 0 else stream.timestamp + extended) & 0xFFFFFFFF
            stream.message = bytearray()
        stream.message += self._bytes(min(self._chunk_size, max(0, stream.length - len(stream.message))))
        return stream

    def _bytes(self, count: int) -> bytes:
        found = self._incoming.read(count)
        if len(found) < count:
            raise EOFError
        self._received += count
        if self._received - self._acknowledged >= self._window:
            self._acknowledged = self._received
            self._send(_ACKNOWLEDGED, (self._received & 0xFFFFFFFF).to_bytes(4, "big"))
        return found

    def _command(self, *values: object, stream: int = 0) -> None:
        self._send(_COMMAND, encoded(*values), stream)

    def _send(self, kind: int, message: bytes, stream: int = 0) -> None:
        """Send a message on chunk stream 3, or 2 if it is about the protocol, in chunks of 128 bytes."""
        number = 3 if kind == _COMMAND else 2
        head = bytes([number, 0, 0, 0]) + len(message).to_bytes(3, "big") + bytes([kind]) + stream.to_bytes(4, "little")
        chunks = (message[at : at + 128] for at in range(0, len(message), 128))
        self._connection.sendall(head + bytes([0xC0 | number]).join(chunks))


def _status(code: str, level: str = "status", **more: object) -> dict[str, object]:
    return {"level": level, "code": code, "description": code, **more}


def _plain(path: str) -> bytes:
    """The path to compare: without empty parts, which come from a server address that ends with a slash."""
    return "/".join(filter(None, unquote(path).split("/"))).encode(errors="replace")
