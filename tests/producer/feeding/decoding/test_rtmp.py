"""The receiving side of RTMP, byte by byte; real senders are in tests/producer/feeding/sources/test_push.py."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ETIMEDOUT
from queue import SimpleQueue
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.feeding.decoding.amf0 import encoded
from producer.feeding.decoding.pushing import FileOfPush, _first_push
from producer.feeding.decoding.rtmp import Push, Refused
from producer.feeding.decoding.wire import PushTarget
from tests.processes import eventually
from tests.scraping import listening_hosts
from tests.streams import free_port

HANDSHAKE = b"\3" + bytes(1536) + bytes(1536)


def command(*values: object) -> bytes:
    """A command in chunks of at most 4096 bytes."""
    content = encoded(*values)
    return b"\3" + bytes(3) + len(content).to_bytes(3, "big") + b"\x14" + bytes(4) + content


SIZE_4096 = b"\2" + bytes(3) + b"\0\0\4\1" + bytes(4) + (4096).to_bytes(4, "big")
PUBLISH = command("connect", 1.0, {"app": "live"}) + command("publish", 5.0, None, "KEY", "live")


@contextmanager
def sent(data: bytes) -> Iterator[Push]:
    """A connection whose sender has sent all of `data` and ended."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        yield Push(ours)


def accepted(data: bytes) -> bytes:
    """The FLV file of a push of `data`."""
    with sent(HANDSHAKE + SIZE_4096 + PUBLISH + data) as push:
        push.accept("live/KEY", lambda: True)
        return b"".join(iter(lambda: push.read(100), b""))


def test_times_beyond_four_and_a_half_hours_are_kept_in_every_chunk() -> None:
    picture, late = bytes(range(250)) * 20, 0x1234567
    extended = late.to_bytes(4, "big")
    head = b"\6\xff\xff\xff" + len(picture).to_bytes(3, "big") + b"\x09" + bytes(4)
    flv = accepted(head + extended + picture[:4096] + b"\xc6" + extended + picture[4096:])
    kind, size, low, high, stream = struct.unpack(">B3s3sB3s", flv[13:24])
    assert (kind, int.from_bytes(size, "big"), stream) == (9, len(picture), bytes(3))
    assert high << 24 | int.from_bytes(low, "big") == late
    assert flv[24:-4] == picture
    assert int.from_bytes(flv[-4:], "big") == 11 + len(picture)


def test_sound_and_unknown_messages_are_left_out() -> None:
    sound = b"\4" + bytes(3) + b"\0\0\5\x08" + bytes(4) + b"sound"
    unknown = b"\4" + bytes(3) + b"\0\0\5\x63" + bytes(4) + b"other"
    assert accepted(sound + unknown + command("onFI", 0.0)) == b"FLV\1\1\0\0\0\x09" + bytes(4)


def test_the_first_error_of_a_push_is_the_one_that_is_reported() -> None:
    with sent(HANDSHAKE + SIZE_4096 + PUBLISH) as push:
        push.accept("live/KEY", lambda: True)
        file = FileOfPush(push)
        with patch.object(push, "read", side_effect=[TimeoutError, OSError("cannot read from timed out object")]):
            for _ in range(2):  # as FFmpeg does
                with pytest.raises(OSError, match="nothing came for 15 s") as failure:
                    file.read(100)
                assert failure.value.errno == ETIMEDOUT


def test_a_sender_whose_connection_breaks_after_its_key_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, breaks, refusals = Push._command, threading.Event(), list[str]()
    found: SimpleQueue[Push] = SimpleQueue()
    target = PushTarget("127.0.0.1", free_port(), "live/KEY", {})

    def breaking(push: Push, *values: object, stream: int = 0) -> None:
        if values[0] == "onStatus" and not breaks.is_set():
            breaks.set()
            raise ConnectionResetError
        answer(push, *values, stream=stream)

    def push_once() -> socket.socket:
        sender = socket.create_connection((target.host, target.port))
        sender.sendall(HANDSHAKE + SIZE_4096 + PUBLISH)
        return sender

    monkeypatch.setattr(Push, "_command", breaking)
    threading.Thread(target=lambda: found.put(_first_push(target, refusals.append)), daemon=True).start()
    eventually(lambda: listening_hosts(target.port))
    before = threading.active_count()
    with push_once():
        # The threads of a connection end after it has given up its claim.
        eventually(lambda: breaks.is_set() and threading.active_count() <= before)
        with push_once():
            eventually(lambda: not found.empty() or refusals)
    assert (found.empty(), refusals) == (False, [])
    found.get().close()


def test_a_push_is_refused_if_somebody_else_was_faster() -> None:
    with sent(HANDSHAKE + SIZE_4096 + PUBLISH) as push, pytest.raises(Refused, match="another sender"):
        push.accept("live/KEY", lambda: False)


@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_are_accepted_without_the_key_nor_end_otherwise_than_refused(data: bytes, connected: bool) -> None:
    before = SIZE_4096 + command("connect", 1.0, {"app": "live"}) if connected else b""
    with sent(HANDSHAKE + before + data) as push, pytest.raises((Refused, EOFError, OSError)):
        push.accept("live/KEY", lambda: True)


def test_a_long_message_is_refused_before_the_key_is_known() -> None:
    short, longer = b"\3" + bytes(3) + b"\0\1\0\x14" + bytes(4) + bytes(128), b"\x43" + bytes(3) + b"\xff\xff\xff\x14"
    with sent(HANDSHAKE + short + longer + bytes(128)) as push, pytest.raises(Refused, match="too long"):
        push.accept("live/KEY", lambda: True)
