"""Live sources with streams on loopback: all protocols, stalls, cuts, refusals and reconnects."""

import itertools
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from producer.feeding.decoding import container
from producer.feeding.decoding.wire import Opened
from producer.feeding.sources import decoder_process, live, opening
from producer.feeding.sources.address import SourceError
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.sources.live import LiveSource
from producer.feeding.sources.opening import open_source
from producer.feeding.sources.recording import Recording
from tests.processes import eventually
from tests.producer.feeding.films import cut, film, number_of, pixels
from tests.producer.feeding.sources.test_videos import counted
from tests.scraping import listening_hosts
from tests.streams import Publisher, free_port, rtsp_server, served_folder, served_stream, silent_server

NEVER = threading.Event()


@contextmanager
def opened(url: str, fps: float = 2, give_up_s: float = 60) -> Iterator[LiveSource]:
    """The live source at `url`, as soon as there is a sender."""
    found: list[LiveSource] = []

    def there_is_a_sender() -> bool:
        with suppress(SourceError):
            source = open_source(url, fps, give_up_s)
            assert isinstance(source, LiveSource)
            found.append(source)
        return bool(found)

    eventually(there_is_a_sender)
    with found[0] as source:
        yield source


def in_decoders(monkeypatch: pytest.MonkeyPatch, **constants: float) -> None:
    """Decoders from now on have these constants of `decoding.container`."""
    change = f"from producer.feeding.decoding import container; vars(container).update({constants}); "
    monkeypatch.setattr(decoder_process, "CHILD", decoder_process.CHILD.replace("from", change + "from", 1))


def lists(playlist: Path, segment: str) -> bool:
    """Whether an HLS playlist has this segment. A segment's file exists some time before."""
    return playlist.exists() and segment in playlist.read_text()


def first(count: int, found: LiveSource) -> list[SampledFrame]:
    return list(itertools.islice(found.frames(NEVER), count))


def check(frames: list[SampledFrame]) -> None:
    assert [frame.frame for frame in frames] == list(range(len(frames)))
    times = [frame.t for frame in frames]
    assert times == sorted(times)
    assert times[0] == 0.0


def check_undisturbed(frames: list[SampledFrame]) -> None:
    """Check that each frame is the first picture at or after its half second, and has the right time."""
    check(frames)
    begin = number_of(frames[0].jpeg)
    for k, frame in enumerate(frames):
        assert k / 2 <= frame.t < k / 2 + 0.05
        assert (number_of(frame.jpeg) - begin) % 256 == round(frame.t * 25)


@pytest.mark.parametrize("listens", ["publisher", "producer"])
def test_a_tcp_stream_is_read_if_either_side_listens(listens: str, monkeypatch: pytest.MonkeyPatch) -> None:
    in_decoders(monkeypatch, OPEN_S=60.0)  # a sender that starts slowly finds nobody between two attempts
    monkeypatch.setattr(opening, "STREAM_OPENING_S", 60.0)
    port = free_port()
    url = f"tcp://127.0.0.1:{port}"
    ours, theirs = (url, url + "?listen=1") if listens == "publisher" else (url + "?listen=1", url)

    def publish_when_listened_to() -> None:
        if listens == "producer":
            eventually(lambda: listening_hosts(port))
        publisher.__enter__()

    publisher = Publisher(theirs, "mpegts")
    publishing = threading.Thread(target=publish_when_listened_to)
    publishing.start()
    try:
        with opened(ours) as found:
            check_undisturbed(first(5, found))
            assert (found.width, found.height, found.reconnects) == (320, 240, 0)
    finally:
        publishing.join()
        publisher.cut()


@contextmanager
def udp_stream() -> Iterator[str]:
    url = f"udp://127.0.0.1:{free_port()}"
    with Publisher(f"{url}?pkt_size=1316", "mpegts"):
        yield url


FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}
STREAMS: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "udp": udp_stream,
    "http, mpegts": lambda: served_stream("mpegts"),
    "http, flv": lambda: served_stream("flv"),
    "http, mp4": lambda: served_stream("mp4", FRAGMENTED),
    "rtsp with a password": rtsp_server,
}


@pytest.mark.parametrize("stream", STREAMS)
def test_a_stream_of_any_protocol_is_live(stream: str) -> None:
    with STREAMS[stream]() as url, opened(url) as found:
        check_undisturbed(first(5, found))


def test_an_hls_stream_is_read_from_its_newest_segment(tmp_path: Path) -> None:
    playlist = Publisher(tmp_path / "live.m3u8", "hls", hls_time=1, hls_list_size=4, hls_flags="delete_segments")
    with counted(tmp_path) as (url, asked), playlist:
        eventually(lambda: lists(tmp_path / "live.m3u8", "live2.ts"))
        with opened(f"{url}/live.m3u8") as found:
            frames = first(6, found)
    check_undisturbed(frames)
    assert {"live0.ts", "live1.ts"}.isdisjoint(asked)


def test_an_hls_stream_with_a_completed_playlist_ends_without_a_shortfall(tmp_path: Path) -> None:
    playlist = tmp_path / "live.m3u8"
    with served_folder(tmp_path) as url, Publisher(playlist, "hls", hls_time=1, hls_list_size=0) as publisher:
        eventually(lambda: (tmp_path / "live3.ts").exists())
        with opened(f"{url}/live.m3u8") as found:
            frames = found.frames(NEVER)
            next(frames)
            publisher.cut()
            with playlist.open("a") as unfinished:
                unfinished.write("#EXT-X-ENDLIST\n")
            list(frames)
            assert (found.shortfall, found.reconnects) == (None, 0)


def test_old_segments_of_an_hls_stream_are_not_read_again_after_a_reconnect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_decoders(monkeypatch, READ_S=2.0)
    monkeypatch.setattr(live, "FIRST_PAUSE_S", 0.05)
    tried, answers = LiveSource._tried, []

    def counted(source: LiveSource, stop: threading.Event) -> Opened | None:
        answers.append(tried(source, stop))
        return answers[-1]

    monkeypatch.setattr(LiveSource, "_tried", counted)
    playlist, stop = tmp_path / "live.m3u8", threading.Event()
    frames: list[SampledFrame] = []
    numbers: list[list[int]] = [[], []]

    def read() -> None:
        for frame in found.frames(stop):
            frames.append(frame)
            numbers[found.reconnects].append(number_of(frame.jpeg))

    with served_folder(tmp_path) as url, Publisher(playlist, "hls", hls_time=1) as publisher:
        eventually(lambda: lists(playlist, "live1.ts"))
        with opened(f"{url}/live.m3u8") as found:
            reading = threading.Thread(target=read)
            reading.start()
            publisher.cut()
            eventually(lambda: found.trouble)
            with Publisher(playlist, "hls", (640, 360), step=-1, hls_time=1, hls_flags="append_list") as publisher:
                eventually(lambda: found.reconnects)
                publisher.cut()
            before = len(answers)
            eventually(lambda: len(answers) >= before + 2)
            stop.set()
            reading.join()
    assert found.reconnects == 1
    check(frames)
    assert all(numbers)
    for each, step in zip(numbers, (1, -1), strict=True):
        assert all(0 < step * (later - earlier) % 256 < 128 for earlier, later in pairwise(each))


@pytest.mark.parametrize("name", ["lecture.mp4", "lecture.ts", "lecture.mkv", "lecture.m3u8"])
def test_a_finished_recording_behind_a_url_is_a_recording(tmp_path: Path, name: str) -> None:
    options = {"movflags": "faststart"} if name.endswith("mp4") else {}
    if name.endswith("m3u8"):
        options = {"hls_time": "1", "hls_playlist_type": "vod"}
    film(tmp_path / name, pictures=100, mux_options=options, codec_options={"preset": "ultrafast", "g": "25"})
    with served_folder(tmp_path) as url, open_source(f"{url}/{name}?token=SECRET", 2) as found:
        assert isinstance(found, Recording)
        frames = list(found.frames(NEVER))
    assert [number_of(frame.jpeg) for frame in frames] == [0, 12, 25, 37, 50, 62, 75, 87]
    assert [frame.t for frame in frames] == [n / 2 for n in range(8)]
    assert found.shortfall is None
    assert found.label.name == f"{url}/{name}"


def test_a_truncated_recording_behind_a_url_has_a_shortfall(tmp_path: Path) -> None:
    cut(film(tmp_path / "lecture.mkv", pictures=200, noise=60))
    with served_folder(tmp_path) as url, open_source(f"{url}/lecture.mkv", 2) as found:
        assert 2 <= len(list(found.frames(NEVER))) < 15
        assert found.shortfall is not None
        assert found.shortfall.endswith("the recording was cut off")


# Errors.


@pytest.mark.parametrize("protocol", ["rtsp", "rtmp", "rtmps", "http", "https", "tcp"])
def test_a_closed_port_is_one_clear_line_without_the_password(protocol: str) -> None:
    port = free_port()
    with pytest.raises(SourceError) as refused:
        open_source(f"{protocol}://me:SECRET@127.0.0.1:{port}/a/b?key=SECRET", 2)
    key = "..." if protocol.startswith("rtmp") else "b"
    shown = f"{protocol}://127.0.0.1:{port}/a/{key}"
    assert str(refused.value).startswith(f"{shown}: nobody answers there (connection refused)")
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize(
    ("protocol", "hello"),
    [
        ("rtsp", b"OPTIONS rtsp://127.0.0.1"),
        ("rtmp", b"\x03"),  # C0 of its handshake
        ("rtmps", b"\x16\x03"),  # TLS
        ("http", b"GET /a/b?key=SECRET HTTP/1.1"),
        ("https", b"\x16\x03"),
    ],
)
def test_a_silent_server_gets_a_request_of_its_protocol_and_times_out(
    protocol: str, hello: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_decoders(monkeypatch, OPEN_S=1.0)
    with silent_server() as (port, heard):
        with pytest.raises(SourceError, match="nothing came within 1 s") as refused:
            open_source(f"{protocol}://me:SECRET@127.0.0.1:{port}/a/b?key=SECRET", 2)
        eventually(lambda: heard)
    assert heard[0].startswith(hello)
    assert "SECRET" not in str(refused.value)


def test_a_udp_port_without_a_sender_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "STREAM_OPENING_S", 0.3)
    with pytest.raises(SourceError, match=r"no picture within 0.3 s; is it being sent\?"):
        open_source(f"udp://127.0.0.1:{free_port()}", 2)


def test_a_page_without_video_and_a_missing_page_have_different_messages(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html>Lecture</html>" * 100)
    with served_folder(tmp_path) as url:
        with pytest.raises(SourceError, match="sends no readable video"):
            open_source(f"{url}/page.html", 2)
        with pytest.raises(SourceError, match="there is nothing at this path"):
            open_source(f"{url}/none.m3u8", 2)


def test_after_a_reconnect_time_continues_by_the_wall_clock_and_a_larger_picture_keeps_its_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "FIRST_PAUSE_S", 0.05)
    url = f"tcp://127.0.0.1:{free_port()}"
    larger = Publisher(f"{url}?listen=1", "mpegts", size=(640, 360))
    before_again: list[float] = []

    def publish_again() -> None:
        before_again.append(time.monotonic())
        larger.__enter__()

    with Publisher(f"{url}?listen=1", "mpegts") as publisher, opened(url) as found:
        frames = found.frames(NEVER)
        before_first = time.monotonic()
        read = [next(frames)]
        after_first = time.monotonic()
        read += [next(frames) for _ in range(3)]
        publisher.cut()
        threading.Timer(1.0, publish_again).start()
        while found.reconnects == 0:
            read.append(next(frames))
        after_again = time.monotonic()
        after = [next(frames) for _ in range(3)]
        larger.cut()
    check([*read, *after])
    ahead = read[-2].t + 0.5  # the stream's own clock may be ahead of the wall clock, and time never decreases
    assert before_again[0] - after_first - 0.001 <= read[-1].t <= max(after_again - before_first, ahead) + 0.001
    assert number_of(read[-1].jpeg) < 25, "the publisher restarted"
    assert (found.width, found.height) == (320, 240)
    assert pixels(read[-1].jpeg).shape == (360, 640, 3)


@pytest.mark.parametrize("sent", [signal.SIGSTOP, signal.SIGSEGV])
def test_a_decoder_that_stalls_or_crashes_is_replaced(sent: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "FIRST_PAUSE_S", 0.05)
    with served_stream("mpegts") as url, opened(url) as found:
        frames = found.frames(NEVER)
        read = [next(frames)]
        monkeypatch.setattr(live, "STALLED_S", 1.0)  # the first picture may need longer
        os.kill(found.decoder_pid, sent)
        while found.reconnects == 0:
            read.append(next(frames))
        check(read)
        assert sent == signal.SIGSEGV or read[-1].t >= 1.0


@pytest.mark.parametrize(
    ("disturb", "reason"),
    [(Publisher.cut, r"nobody answers there \(connection refused\)"), (Publisher.stall, "no picture for ")],
)
def test_a_stream_that_does_not_come_back_is_given_up_with_the_reason(
    disturb: Callable[[Publisher], None], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "FIRST_PAUSE_S", 0.05)
    url = f"tcp://127.0.0.1:{free_port()}"

    def lose_patience() -> None:
        """Not before an attempt to connect has failed: a decoder may need seconds for its start."""
        if disturb is Publisher.cut:
            eventually(lambda: re.match(reason, found.trouble or ""))
        monkeypatch.setattr(found, "_give_up_s", 1.5)

    with Publisher(url + "?listen=1", "mpegts") as publisher, opened(url) as found:
        frames = found.frames(NEVER)
        next(frames)
        monkeypatch.setattr(live, "STALLED_S", 1.5)  # the first picture may need longer
        disturb(publisher)
        with ThreadPoolExecutor(1) as beside:
            waiting = beside.submit(lose_patience)
            list(frames)
        waiting.result()
    assert re.match(f"given up after 1.5 s without a picture: {reason}", found.shortfall or "")


def test_pauses_grow_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    class Patient(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0.0)
            return len(pauses) == 7

    with served_stream("mpegts") as url, opened(url, give_up_s=1000) as found:
        monkeypatch.setattr(found, "_tried", lambda stop: None)
        assert not found._reconnected(Patient())
    assert pauses == [0.5, 1, 2, 4, 8, 10, 10]


@pytest.mark.parametrize("moment", ["stalled", "reconnecting", "reconnecting, closed"])
def test_a_source_can_be_stopped_or_closed_at_once_while_there_is_no_stream(moment: str) -> None:
    stop = threading.Event()
    url = f"tcp://127.0.0.1:{free_port()}"
    with Publisher(url + "?listen=1", "mpegts") as publisher, opened(url) as found:
        frames = found.frames(stop)
        next(frames)
        publisher.stall() if moment == "stalled" else publisher.cut()
        rest = threading.Thread(target=list, args=(frames,))
        rest.start()
        if moment != "stalled":
            eventually(lambda: found.trouble)
        found.close() if moment.endswith("closed") else stop.set()
        rest.join(timeout=30)
        assert not rest.is_alive()
        assert found.shortfall is None


def test_the_decoder_times_out_first_because_its_message_says_more() -> None:
    assert container.READ_S < live.STALLED_S
    assert container.OPEN_S * 2 < live.OPENING_S
