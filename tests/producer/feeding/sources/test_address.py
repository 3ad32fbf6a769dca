"""SOURCE on the command line: its names, and what FFmpeg may open for it."""

import os
from pathlib import Path

import pytest

from producer.feeding.decoding.wire import FileTarget, StreamTarget
from producer.feeding.sources.address import PROTOCOLS, SourceError, address_of
from producer.ingestion import lecture_name


def stream(source: str) -> StreamTarget:
    target = address_of(source).target
    assert isinstance(target, StreamTarget)
    return target


def may_open(source: str) -> set[str]:
    return set(stream(source).options["protocol_whitelist"].split(","))


@pytest.mark.parametrize(
    ("source", "shown", "lecture"),
    [
        ("rtsp://me:SECRET@camera:554/hall/1?key=SECRET", "rtsp://camera:554/hall/1", "camera-554-hall-1"),
        (
            "https://user:SECRET@host/live/lecture.m3u8?t=SECRET#x",
            "https://host/live/lecture.m3u8",
            "host-live-lecture",
        ),
        ("rtmp://host/app/SECRET", "rtmp://host/app/...", "host-app"),
        ("rtmps://host:443/rtmp/instance/SECRET?x=1", "rtmps://host:443/rtmp/.../...", "host-443-rtmp"),
        ("rtmp://host/SECRET", "rtmp://host/...", "host"),
        (
            "http://host/live/SEC4eC39HqLyjWDarjtT1zd/x.m3u8",
            "http://host/live/.../x.m3u8",
            "host-live-x",
        ),
        ("https://host/SEC4eC39HqLyjWDarjtT1zd.flv", "https://host/...", "host"),
        ("udp://@239.0.0.1:1234", "udp://239.0.0.1:1234", "239-0-0-1-1234"),
        ("udp://:1234", "udp://:1234", "1234"),
        ("tcp://127.0.0.1:1234?listen=1", "tcp://127.0.0.1:1234", "127-0-0-1-1234"),
    ],
)
def test_no_name_of_a_stream_contains_a_secret(source: str, shown: str, lecture: str) -> None:
    address = address_of(source)
    assert (address.shown, address.name, lecture_name(address.title)) == (shown, shown, lecture)
    assert "SEC" not in repr(address)
    assert stream(source).url == source
    assert stream("RTSP://Camera/Hall").url == "rtsp://Camera/Hall"


@pytest.mark.parametrize("protocol", ["http", "https", "rtmps"])  # http may redirect to https
def test_certificates_are_checked(protocol: str) -> None:
    assert stream(f"{protocol}://host/x").options["tls_verify"] == "1"


def test_a_lecture_keeps_only_the_name_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "lecture 7.mp4"
    path.write_bytes(b"x")
    address = address_of(str(path))
    assert address.target == FileTarget(os.fsencode(path))
    assert (address.shown, address.name, lecture_name(address.title)) == (str(path), "lecture 7.mp4", "lecture-7")


def test_no_stream_can_open_files() -> None:
    for protocol in PROTOCOLS:
        target = stream(f"{protocol}://host:1/x")
        assert may_open(f"{protocol}://host:1/x").isdisjoint(
            {"file", "pipe", "fd", "concat", "subfile", "data", "unix"}
        )
        assert not set(target.options["format_whitelist"].split(",")) & {"concat", "lavfi", "image2", "dash", "sdp"}


def test_a_stream_opens_its_own_protocol_and_those_below_it() -> None:
    assert may_open("udp://:1") == {"udp"}
    assert may_open("tcp://h:1") == {"tcp"}
    assert may_open("rtmp://h/x") == {"rtmp", "tcp"}
    assert may_open("RTMPS://h/x") == {"rtmps", "tls", "tcp"}
    assert may_open("rtsp://h/x") == {"rtsp", "rtp", "udp", "tcp"}


@pytest.mark.parametrize(
    "source", ["srt://h:1", "ftp://me:SECRET@h/x", "file:///etc/passwd", "concat://a|b", "gopher://h/x", "x-y.z+1://q"]
)
def test_any_other_protocol_is_refused_with_a_list_of_the_supported_ones(source: str) -> None:
    with pytest.raises(SourceError, match="is not supported") as refused:
        address_of(source)
    assert all(f"{protocol}://" in str(refused.value) for protocol in PROTOCOLS)
    assert "SECRET" not in str(refused.value)


UNSPLIT = r"^http://...: not a URL that can be read; write / \? # @ in a password as"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("udp://239.0.0.1", r"udp://239.0.0.1: lacks its port; write udp://HOST:PORT"),
        ("tcp://h/x", "lacks its port"),
        ("rtsp:///x", "lacks its host"),
        ("http://h:99999/x", "not a URL that can be read"),
        ("http://[::1/x", "not a URL that can be read"),
        ("http://h/\udce9", "not a URL that can be read"),
        ("http://me:SEC/RET@host/x", UNSPLIT),
        ("http://me:SEC?RET@host/x", UNSPLIT),
        ("http://me:SEC#RET@host/x", UNSPLIT),
        # These words have a meaning for FFmpeg. As a SOURCE they are file names.
        ("concat:a.mp4|b.mp4", "no such file"),
        ("subfile,,start,0,end,9,,:x.mp4", "no such file"),
        ("data:x", "no such file"),
        ("crypto:x.mp4", "no such file"),
        ("/dev/video4711", r"^/dev/video4711: no such camera; there is "),
    ],
)
def test_a_wrong_source_is_refused_before_anything_is_tried(source: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        address_of(source)
