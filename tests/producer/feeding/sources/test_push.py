"""Pushes by RTMP: real senders (FFmpeg through PyAV) over loopback, with right and wrong keys."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise

import av
import pytest

from producer.feeding.decoding.wire import PushTarget
from producer.feeding.sources.address import SourceError, address_of
from producer.feeding.sources.live import LiveSource
from producer.feeding.sources.opening import open_source
from tests.processes import eventually
from tests.producer.feeding.films import number_of
from tests.scraping import listening_hosts
from tests.streams import Publisher, free_port, publish

KEY = "s3cret-KEY-of-the-hall"


def push(port: int, path: str = f"live/{KEY}") -> Publisher:
    return Publisher(f"rtmp://127.0.0.1:{port}/{path}", "flv")


def refused(port: int, path: str) -> bool:
    """Whether a push is refused, with an error before its first picture."""
    with pytest.raises(av.FFmpegError) as failure:
        publish(f"rtmp://127.0.0.1:{port}/{path}", "flv")
    return isinstance(failure.value, av.ConnectionRefusedError | av.PermissionError)


@contextmanager
def waiting(port: int, give_up_s: float = 60) -> Iterator["Future[LiveSource]"]:
    """A source that listens for a push."""

    def opened() -> LiveSource:
        source = open_source(f"rtmp://127.0.0.1:{port}/live/{KEY}?listen=1", 2, give_up_s)
        assert isinstance(source, LiveSource)
        return source

    with ThreadPoolExecutor(1) as beside:
        found = beside.submit(opened)
        eventually(lambda: listening_hosts(port) or found.done())
        yield found


def test_only_a_push_with_the_right_key_is_read_and_only_one_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    with waiting(port) as found:
        for path in ("live/wrong", f"other/{KEY}", f"live/{KEY}x", f"live/{KEY[:-1]}", "live"):
            assert refused(port, path)
        assert not found.done()
        with push(port), found.result() as source:
            frames = source.frames(threading.Event())
            read = [next(frames) for _ in range(4)]
            assert refused(port, f"live/{KEY}"), "another sender pushes"
            read += [next(frames) for _ in range(4)]
            assert source.reconnects == 0
            assert (source.width, source.height) == (320, 240)
    begin = number_of(read[0].jpeg)
    for frame in read:
        assert (number_of(frame.jpeg) - begin) % 256 == round(frame.t * 25), "pictures and times belong together"
    said = capsys.readouterr().err
    assert said.count("a push was refused: wrong app or key") == 1, "the operator learns of it, once in a while"
    assert KEY not in repr(source.label) + source.label.name + source.label.title + said


def test_a_push_that_was_dropped_is_resumed_and_time_follows_the_wall_clock() -> None:
    port = free_port()
    with waiting(port) as found, push(port) as sender, found.result() as source:
        frames = source.frames(threading.Event())
        read = [next(frames)]
        first_came = time.monotonic()
        read += [next(frames) for _ in range(3)]
        sender.cut()
        senders: list[Publisher] = []
        resumed_at: list[float] = []

        def resume() -> None:
            eventually(lambda: listening_hosts(port))
            assert refused(port, "live/wrong"), "the key is checked again"
            resumed_at.append(time.monotonic())
            senders.append(push(port).__enter__())

        again = threading.Thread(target=resume)
        again.start()
        while source.reconnects == 0:
            read.append(next(frames))
        resumed = read[-1]
        read += [next(frames) for _ in range(3)]
        again.join()
        senders[0].cut()
    assert [frame.frame for frame in read] == list(range(len(read)))
    assert all(before.t < after.t for before, after in pairwise(read))
    assert resumed.t >= resumed_at[0] - first_came - 0.001


def test_strangers_who_say_nothing_or_nonsense_do_not_keep_a_sender_out() -> None:
    port = free_port()
    with waiting(port) as found:
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]
        for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b"\3" + bytes(3072) + b"\3\0\0\0\xff\xff\xff\x14" + bytes(9000)):
            stranger = socket.create_connection(("127.0.0.1", port))
            stranger.sendall(nonsense)
            silent.append(stranger)
        with push(port), found.result() as source:
            next(source.frames(threading.Event()))
        for connection in silent:
            connection.close()


def test_a_push_without_a_picture_is_reported_and_the_next_one_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    with waiting(port) as found:
        with av.open(f"rtmp://127.0.0.1:{port}/live//{KEY}", "w", format="flv") as silent:  # two slashes are one
            silent.add_stream("aac", rate=44100)
            silent.start_encoding()
        eventually(lambda: "it has no readable video" in capsys.readouterr().err)
        eventually(lambda: listening_hosts(port))
        with push(port), found.result() as source:
            next(source.frames(threading.Event()))


def test_a_push_that_does_not_come_is_one_clear_line_without_the_key() -> None:
    port = free_port()
    with pytest.raises(SourceError) as given_up:
        open_source(f"rtmp://127.0.0.1:{port}/live/{KEY}?listen=1", 2, 0.5)
    assert str(given_up.value) == (
        f"rtmp://127.0.0.1:{port}/live/...: no picture within 0.5 s; does the sender have the right host, port and key?"
    )


def test_a_port_that_is_taken_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SourceError, match=f"cannot listen on 127.0.0.1, port {port}: .* a free port"):
            open_source(f"rtmp://127.0.0.1:{port}/live/{KEY}?listen=1", 2)


def test_an_address_of_a_push_has_its_key_and_is_told_from_an_address_to_pull_from() -> None:
    target = address_of("RTMP://[::]/a/b/KEY?listen=1").target
    assert isinstance(target, PushTarget)
    assert (target.host, target.port, target.path) == ("::", 1935, "a/b/KEY")
    assert not isinstance(address_of("rtmp://host/live/KEY?listen=0").target, PushTarget)
    assert not isinstance(address_of("rtmp://host/live/KEY").target, PushTarget)
    for url, advice in {
        "rtmp://0.0.0.0/s3cret?listen=1": "lacks the key",
        "rtmp://0.0.0.0/live/?listen=1": "lacks the key",
        "rtmps://0.0.0.0/live/s3cret?listen=1": "cannot listen; write rtmp://",
        "rtmp://0.0.0.0/live/s3cret&listen=1": "0.0.0.0 cannot be connected to; to wait for a push",
        "rtmp://0.0.0.0/live/s3#cret?listen=1": "0.0.0.0 cannot be connected to; to wait for a push",
    }.items():
        with pytest.raises(SourceError, match=advice) as wrong:
            address_of(url)
        assert "cret" not in str(wrong.value)
