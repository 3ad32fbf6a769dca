"""SOURCE opens only what it names: no list, redirection or file leads anywhere else."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import av
import pytest

from producer.feeding.decoding.container import Unreadable, open_file, video_in
from producer.feeding.decoding.decoder import chosen_at
from producer.feeding.decoding.wire import FileTarget, StreamTarget
from producer.feeding.sources.address import SourceError, address_of
from tests.producer.feeding.films import film
from tests.streams import Quiet, served_folder, serving

GOOD, SECRET = (160, 120), (64, 64)
"""Sizes by which a served picture and a forbidden one are distinguished."""

HEAD = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n"
DASH = """<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S"
 minBufferTime="PT1S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp4">
 <Representation id="1" bandwidth="1000"><BaseURL>{there}</BaseURL></Representation></AdaptationSet></Period></MPD>"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a stranger's web server."""
    folder = tmp_path / "served"
    folder.mkdir()
    film(folder / "good.ts", size=GOOD)
    return folder


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A video on this machine that must not be read."""
    return film(tmp_path / "secret.ts", size=SECRET)


@contextmanager
def witness() -> Iterator[tuple[int, list[bytes]]]:
    """A port to which nothing should connect, and the first bytes of all connections."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def listen() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with listening.accept()[0] as connection:
                        connection.settimeout(2)
                        received.append(connection.recv(100))

        threading.Thread(target=listen, daemon=True).start()
        yield listening.getsockname()[1], received
        listening.shutdown(socket.SHUT_RDWR)


def sizes_seen(source: str) -> set[tuple[int, int]]:
    """The sizes of the pictures of a source, as the decoder opens it; empty if it is refused."""
    seen = set()
    with contextlib.suppress(SourceError, Unreadable, av.FFmpegError):
        target = address_of(source).target
        if isinstance(target, FileTarget):
            with open(target.path, "rb") as file, open_file(file) as container:
                seen |= {(frame.width, frame.height) for frame in container.decode(video_in(container))}
        elif isinstance(target, StreamTarget):
            with chosen_at(target)[0] as container:
                for frame in container.decode(video_in(container)):
                    seen.add((frame.width, frame.height))
    return seen


def ways_to(path: Path) -> list[str]:
    """All ways in which a list might name a file of this machine."""
    names = ["file://{0}", "file:{0}", "{0}", "../secret.ts", "concat:{0}", "concat:good.ts|{0}", "crypto:{0}"]
    names += ["crypto:file://{0}", "subfile,,start,0,end,999999,,:{0}", "cache:{0}", "async:{0}", "FILE://{0}"]
    names += [
        "data:video/mp2t;base64,AAAA",
        "pipe:0",
        "fd:0",
        "unix:{0}",
        "ftp://127.0.0.1{0}",
        "gopher://127.0.0.1{0}",
    ]
    return [name.format(path) for name in names]


@pytest.mark.parametrize("way", range(18))
def test_a_served_list_leads_to_no_file_of_this_machine(folder: Path, secret: Path, way: int) -> None:
    there = ways_to(secret)[way]
    lists = {
        "segment": f"{HEAD}#EXTINF:2,\n{there}\n#EXT-X-ENDLIST\n",
        "map": f'{HEAD}#EXT-X-MAP:URI="{there}"\n#EXTINF:2,\ngood.ts\n#EXT-X-ENDLIST\n',
        "variant": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{there}\n",
        "nested": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nsegment.m3u8\n",
    }
    for name, content in lists.items():
        (folder / f"{name}.m3u8").write_text(content)
    with served_folder(folder) as url:
        seen = {name: sizes_seen(f"{url}/{name}.m3u8") for name in lists}
    assert all(SECRET not in sizes for sizes in seen.values()), there


@pytest.mark.parametrize("way", range(18))
def test_a_served_manifest_leads_to_no_file_of_this_machine(folder: Path, secret: Path, way: int) -> None:
    there = ways_to(secret)[way]
    parts = (
        f"<BaseURL>{there}</BaseURL>",
        f'<SegmentTemplate media="{there}" initialization="{there}" duration="2"/>',
        f'<SegmentList duration="1"><SegmentURL media="good.ts"/><SegmentURL media="{there}"/></SegmentList>',
    )
    with served_folder(folder) as url:
        for number, part in enumerate(parts):
            (folder / f"{number}.mpd").write_text(DASH.replace("<BaseURL>{there}</BaseURL>", part))
            assert SECRET not in sizes_seen(f"{url}/{number}.mpd"), part


def test_a_list_with_a_forbidden_second_segment_ends_after_the_first(folder: Path, secret: Path) -> None:
    assert sizes_seen(str(secret)) == {SECRET}
    content = f"{HEAD}#EXTINF:2,\ngood.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\nfile://{secret}\n#EXT-X-ENDLIST\n"
    (folder / "l.m3u8").write_text(content)
    with served_folder(folder) as url:
        assert sizes_seen(f"{url}/l.m3u8") == {GOOD}


def test_a_served_list_connects_to_no_port_of_another_protocol(folder: Path) -> None:
    with witness() as (port, received), served_folder(folder) as url:
        for scheme in ("tcp", "udp", "rtmp", "rtsp", "rtp", "srt", "tls", "ftp", "gopher", "redis", "mmsh", "icecast"):
            there = f"{scheme}://127.0.0.1:{port}/x.ts"
            (folder / "l.m3u8").write_text(f"{HEAD}#EXTINF:2,\n{there}\n#EXT-X-ENDLIST\n")
            (folder / "l.mpd").write_text(DASH.replace("{there}", there))
            assert sizes_seen(f"{url}/l.m3u8") == sizes_seen(f"{url}/l.mpd") == set()
    assert received == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.mpd", DASH),
        ("list.ffconcat", "ffconcat version 1.0\nfile {there}\n"),
        ("list.txt", "ffconcat version 1.0\nfile {there}\n"),
        ("list.m3u", "#EXTM3U\n#EXTINF:2,\n{there}\n"),
        ("list.m3u8", HEAD + "#EXTINF:2,\n{there}\n#EXT-X-ENDLIST\n"),
        ("list.mp4", HEAD + "#EXTINF:2,\n{there}\n#EXT-X-ENDLIST\n"),
        ("list.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 33\n"),
        ("list.ism", '<SmilDocument><video src="{there}"/></SmilDocument>'),
        ("list.avs", 'FFmpegSource2("{there}")'),
        ("list.asx", '<asx version="3.0"><entry><ref href="{there}"/></entry></asx>'),
        ("list.imf", "<AssetMap><Path>{there}</Path></AssetMap>"),
    ],
)
def test_lists_of_other_kinds_are_opened_neither_from_a_file_nor_from_the_web(
    folder: Path, secret: Path, name: str, content: str
) -> None:
    for there in (str(secret), f"file://{secret}", "good.ts"):
        (folder / name).write_text(content.replace("{there}", there))
        assert sizes_seen(str(folder / name)) == set(), "as a file"
        with served_folder(folder) as url:
            seen = sizes_seen(f"{url}/{name}")
            assert seen == ({GOOD} if name in ("list.m3u8", "list.mpd") and there == "good.ts" else set())


@contextmanager
def redirecting(*to: str) -> Iterator[str]:
    """A web server that redirects the n-th request to the n-th of `to`."""
    left = list(to)

    class Elsewhere(Quiet):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", left.pop(0) if len(left) > 1 else left[0])
            self.end_headers()

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)) as port:
        yield f"http://127.0.0.1:{port}/x.ts"


def test_a_redirection_leads_only_to_the_web(folder: Path, secret: Path) -> None:
    for there in ways_to(secret):
        with redirecting(there) as url:
            assert SECRET not in sizes_seen(url), there
    with witness() as (port, received), redirecting(f"tcp://127.0.0.1:{port}") as url:
        assert sizes_seen(url) == set()
        assert not received or received[0].startswith(b"GET "), "http at most"
    with served_folder(folder) as web, redirecting(f"{web}/good.ts") as url:
        assert sizes_seen(url) == {GOOD}


def test_the_key_of_an_encrypted_list_is_only_read_from_the_web(folder: Path, secret: Path) -> None:
    (folder / "l.m3u8").write_text(
        f'{HEAD}#EXT-X-KEY:METHOD=AES-128,URI="file://{secret}"\n#EXTINF:2,\ngood.ts\n#EXT-X-ENDLIST\n'
    )
    with served_folder(folder) as url:
        assert sizes_seen(f"{url}/l.m3u8") == set()


@pytest.mark.parametrize(
    "name", ["50%d.ts", "a:b.ts", "-i.ts", "http:.ts", "n[1].ts", "x%03d.jpg", "*?{.png", "concat:a|b.ts", "\udce9.ts"]
)
def test_a_file_name_is_only_a_name_even_if_it_is_a_pattern_a_protocol_or_no_text(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "good.ts").rename(folder / name)
    monkeypatch.chdir(folder)
    assert sizes_seen(name) == sizes_seen(str(folder / name)) == {GOOD}
