"""A decoder that is killed, crashes or hangs in the middle of a recording."""

import os
import signal
import threading
from collections.abc import Iterable
from itertools import count
from pathlib import Path

import pytest

from producer.feeding.decoding.wire import Message, decode_message
from producer.feeding.sources import decoder_process, lasting_decoder
from producer.feeding.sources.address import SourceError
from producer.feeding.sources.decoder_process import DecoderProcess, DecoderSilent
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.sources.opening import open_source, open_sources
from producer.feeding.sources.recording import Recording
from producer.feeding.sources.request import SourceRequest
from tests.producer.feeding.films import film, number_of

NEVER = threading.Event()
FPS = 5
X264 = {"preset": "ultrafast", "g": "25", "bf": "2"}
H265 = {"preset": "ultrafast", "x265-params": "keyint=25:open-gop=1:log-level=none"}

# The child's program: `fail` is called before a packet is decoded, with the second that its picture is displayed.
FAILING = """
import os, sys, time
sys.path[:] = sys.argv[1:]
from pathlib import Path
from producer.feeding.decoding import recorded_video

def fail(t):
    {fail}

class Failing:
    def __init__(self, stream):
        self.stream = stream
    def __getattr__(self, name):
        return getattr(self.stream, name)
    def decode(self, packet):
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is not None:
            start = self.stream.container.start_time / 1e6 if {late} else 0.0
            fail(float(stamp * packet.time_base) - start)
        return self.stream.decode(packet)

class FailingVideo(recorded_video.RecordedVideo):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.stream = Failing(self.stream)

from producer.feeding.decoding import decoder
decoder.RecordedVideo = FailingVideo
decoder.main()  # producer.feeding.decoding.decoder
"""


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting_decoder, "FIRST_PAUSE_S", 0.0)


def fails(monkeypatch: pytest.MonkeyPatch, fail: str, late: bool = False) -> None:
    """Decoders from now on do this before they decode a packet of second `t`."""
    monkeypatch.setattr(decoder_process, "CHILD", FAILING.format(fail=fail, late=late))


def crashes(*seconds: float, sign: int = signal.SIGSEGV) -> str:
    """The first packet from each of these seconds on, within the same second, crashes the decoder."""
    return f"if any(s <= t < int(s) + 1 for s in {seconds}): os.kill(os.getpid(), {int(sign)})"


def read(path: Path, fps: float = FPS) -> tuple[list[SampledFrame], str | None]:
    with open_source(str(path), fps) as opened:
        return list(opened.frames(NEVER)), opened.shortfall


def lecture(folder: Path, name: str = "l.mp4", codec: str = "libx264", **options: str) -> Path:
    """Four seconds with a key frame at every full second, numbered 0 to 99."""
    return film(folder / name, codec, pictures=100, codec_options=options or X264)


def damaged(frames: Iterable[SampledFrame]) -> list[int]:
    return [frame.frame for frame in frames if frame.damaged]


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_a_decoder_that_is_killed_starts_again_where_it_stood(tmp_path: Path, sign: signal.Signals) -> None:
    # The pipe holds only one of these large pictures, so the decoder waits for its reader.
    large = film(tmp_path / "l.mp4", "mpeg4", pictures=20, fps=2, size=(640, 480), noise=200)
    whole, _ = read(large, 2)
    with open_source(str(large), 2) as opened:
        assert isinstance(opened, Recording)
        frames = []
        for frame in opened.frames(NEVER):
            frames.append(frame)
            if frame.frame in (0, 1, 9):
                os.kill(opened.decoder_pid, sign)
    assert frames == whole
    assert opened.shortfall is None


def test_a_decoder_that_is_killed_again_and_again_at_the_same_place_ends_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting_decoder, "MAX_FAILURES", 2)
    fails(monkeypatch, crashes(2.2, sign=signal.SIGKILL))
    frames, shortfall = read(lecture(tmp_path))
    assert damaged(frames) == []
    assert 10 <= len(frames) <= 12
    said = f"the decoder was killed 3 times at 0:00:0{int(frames[-1].t)} (SIGKILL); is there enough memory?"
    assert shortfall == said


def test_a_decoder_may_be_killed_while_the_recording_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting_decoder, "MAX_FAILURES", 2)
    video, marks = lecture(tmp_path), [tmp_path / "1", tmp_path / "2", tmp_path / "3"]
    once = "for mark in {marks}:\n        if not mark.exists(): mark.touch(); os.kill(os.getpid(), 9)"
    marked = once.replace("{marks}", f"map(Path, {[str(mark) for mark in marks[:2]]})")
    fails(monkeypatch, marked)
    frames, shortfall = read(video)
    assert (len(frames), damaged(frames), shortfall) == (20, [], None)
    fails(monkeypatch, "os.kill(os.getpid(), 9)")
    with pytest.raises(SourceError, match=r"l.mp4: the decoder was killed 3 times \(SIGKILL\); is there enough memory"):
        open_source(str(video), FPS)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("l.mp4", "libx264", X264),
        ("l.ts", "libx264", X264),
        ("l.mkv", "libx265", H265),
        ("l.avi", "mpeg4", {"g": "25", "sc_threshold": "1000000000"}),
        ("l.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "g": "25"}),
    ],
)
def test_a_decoder_that_crashes_continues_with_the_next_key_frame_and_the_frames_before_it_are_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, codec: str, options: dict[str, str]
) -> None:
    video = lecture(tmp_path, name, codec, **options)
    whole, _ = read(video)
    fails(monkeypatch, crashes(1.48), late=name == "l.ts")
    frames, shortfall = read(video)
    assert [(frame.frame, frame.t) for frame in frames] == [(n, n / FPS) for n in range(20)]
    lost = damaged(frames)
    assert lost == list(range(lost[0], 10)), "until the key frame at second 2"
    assert 5 <= lost[0] <= 9
    assert [frame for frame in frames if not frame.damaged] == [frame for frame in whole if frame.frame not in lost]
    assert {number_of(frames[n].jpeg) for n in lost} == {number_of(frames[lost[0] - 1].jpeg)}, "the picture before"
    assert shortfall is None


def test_frames_before_a_crash_may_be_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, crashes(2.48))
    with open_source(str(lecture(tmp_path)), FPS) as source:
        frames = list(source.frames(NEVER))
        assert damaged(frames)[-1] == 14
        assert list(source.frames(NEVER, 3)) == frames[3:]


@pytest.mark.parametrize("sign", [signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGXCPU])
def test_a_decoder_may_crash_in_the_first_second_and_in_two_seconds_that_follow_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sign: signal.Signals
) -> None:
    fails(monkeypatch, crashes(0.48, 2.0, 3.2, sign=sign))
    frames, shortfall = read(lecture(tmp_path))
    lost = damaged(frames)
    assert [frame.frame for frame in frames] == list(range(len(frames)))
    assert set(lost) <= {*range(1, 5), *range(8, 10), *range(10, 16)}
    assert {4, 10} <= set(lost)
    assert not frames[0].damaged
    assert [number_of(frames[n].jpeg) for n in range(5, 8)] == [25, 30, 35]
    assert shortfall is not None
    assert shortfall.startswith("nothing after 0:00:0")
    assert shortfall.endswith(" can be decoded; the file is damaged")


def test_an_error_of_the_decoder_itself_counts_as_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, "if 1.48 <= t < 2: raise AssertionError")
    frames, shortfall = read(lecture(tmp_path))
    assert damaged(frames)[-1] == 9
    assert (len(frames), shortfall) == (20, None)
    fails(monkeypatch, "raise ImportError")  # such as an installation that lacks a file
    with pytest.raises(SourceError, match=r"the decoder crashed \(exit code 1\); if other files fail too, install "):
        open_source(str(tmp_path / "l.mp4"), FPS)


def test_a_decoder_that_hangs_is_ended_and_the_next_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = tmp_path / "hangs"
    fails(monkeypatch, f"if 1.48 <= t < 2: Path({str(hangs)!r}).touch(); time.sleep(600)")

    def receive(process: DecoderProcess, timeout_s: float, stop: threading.Event) -> Message | None:
        """Not the time, but the decoder itself says that it hangs."""
        for _ in count():
            there = hangs.exists()
            if process._answered():
                return decode_message(process.receive_bytes())
            if there:
                hangs.unlink()
                raise DecoderSilent
        raise AssertionError

    monkeypatch.setattr(DecoderProcess, "receive", receive)
    frames, shortfall = read(lecture(tmp_path))
    assert damaged(frames)[-1] == 9
    assert (len(frames), shortfall) == (20, None)


def test_a_decoder_that_always_crashes_at_the_same_place_ends_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(monkeypatch, "pass")
    reading = "recorded_video.RecordedVideo._packets = "
    crash = (
        "_packets = recorded_video.RecordedVideo._packets\n"
        "def crashing(video):\n"
        "    for packet in _packets(video):\n"
        "        if packet.pts and packet.pts * packet.time_base >= 2.2: os.kill(os.getpid(), 11)\n"
        "        yield packet\n"
        f"{reading} crashing\n"
    )
    child = decoder_process.CHILD.replace("class Failing:", crash + "class Failing:")
    monkeypatch.setattr(decoder_process, "CHILD", child)
    frames, shortfall = read(lecture(tmp_path))
    assert frames[0].frame == 0
    assert shortfall is not None
    assert shortfall.startswith("the decoder crashed at 0:00:0")
    assert shortfall.endswith(" (SIGSEGV); the file is damaged")


def test_a_recording_may_be_read_again_from_any_frame(tmp_path: Path) -> None:
    video, late = lecture(tmp_path), film(tmp_path / "late.mp4", pictures=60, first_pts=30)
    for requests in (
        [SourceRequest(str(video), None)],
        [SourceRequest(str(video), "ada"), SourceRequest(str(late), "bob")],
    ):
        with open_sources(requests, FPS, first=3) as source:
            whole = list(source.frames(NEVER))
            assert whole[0].frame == 3
            for first in (0, 3, 12):
                again = [frame for frame in source.frames(NEVER, first) if frame.frame >= 3]
                assert again == [frame for frame in whole if frame.frame >= first]
