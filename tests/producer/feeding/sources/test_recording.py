"""One recording: what it gives, what is refused, and errors later on."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import pytest

from producer.feeding.decoding import decoder
from producer.feeding.decoding.wire import FileTarget, Order
from producer.feeding.sources import decoder_process, opening
from producer.feeding.sources.address import SourceError
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.sources.live import LiveSource
from producer.feeding.sources.opening import open_source
from producer.feeding.sources.recording import Recording
from tests.producer.feeding.conftest import is_decoder
from tests.producer.feeding.films import cut, film, number_of, numbered, pixels, sound_only, turned

NEVER = threading.Event()


def feed_of(path: Path | str, fps: float = 2) -> tuple[Recording | LiveSource, list[SampledFrame]]:
    """The closed source of a file, and all its frames."""
    with open_source(str(path), fps) as opened:
        return opened, list(opened.frames(NEVER))


def numbers(frames: list[SampledFrame]) -> list[int]:
    return [number_of(frame.jpeg) for frame in frames]


@pytest.mark.parametrize(
    ("name", "codec", "size"),
    [
        ("h264.mp4", "libx264", (320, 240)),
        ("h264.mkv", "libx264", (320, 240)),
        ("h264.avi", "libx264", (320, 240)),  # B frames, whose display times AVI does not store
        ("h265.mp4", "libx265", (320, 240)),
        ("h265.mov", "libx265", (320, 240)),
        ("vp9.webm", "libvpx-vp9", (321, 239)),
        ("mpeg4.avi", "mpeg4", (853, 479)),
        ("mpeg4.mov", "mpeg4", (320, 240)),
        ("mpeg4.mp4", "mpeg4", (854, 480)),
        ("h264.ts", "libx264", (320, 240)),
        ("wave.gif", "gif", (320, 240)),
    ],
)
def test_a_recording_is_sampled_every_half_second(tmp_path: Path, name: str, codec: str, size: tuple[int, int]) -> None:
    pixels_of = {"gif": "rgb8"}
    opened, frames = feed_of(film(tmp_path / name, codec, size=size, pixel_format=pixels_of.get(codec, "yuv420p")))
    assert numbers(frames) == [0, 12, 25, 37]
    assert [(frame.frame, frame.t) for frame in frames] == [(0, 0.0), (1, 0.5), (2, 1.0), (3, 1.5)]
    assert (opened.width, opened.height) == size
    assert opened.expected == 4
    assert opened.shortfall is None


def test_every_picture_can_be_sampled(tmp_path: Path) -> None:
    _, frames = feed_of(film(tmp_path / "lecture.mkv", fps=30, pictures=45), fps=30)
    assert numbers(frames) == list(range(45))


@pytest.mark.parametrize("name", ["screen.mp4", "screen.mkv", "screen.webm"])
def test_a_variable_frame_rate_is_sampled_by_time_and_a_long_picture_is_repeated(tmp_path: Path, name: str) -> None:
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    times = [0, 40, 1040, 1100, 1480, 4020, 4060]
    opened, frames = feed_of(film(tmp_path / name, codec, times_ms=times))
    assert numbers(frames) == [0, 1, 1, 4, 4, 4, 4, 4, 4]
    assert [frame.t for frame in frames] == [n / 2 for n in range(9)]
    assert len({id(frame.jpeg) for frame in frames}) == 3
    assert opened.shortfall is None


@pytest.mark.parametrize("name", ["still.png", "still.jpg"])
def test_a_still_picture_is_one_frame_at_any_rate(tmp_path: Path, name: str) -> None:
    cv2.imwrite(str(tmp_path / name), numbered(5, 160, 120))
    opened, frames = feed_of(tmp_path / name, fps=60)
    assert numbers(frames) == [5]
    assert (opened.width, opened.height, opened.expected, opened.shortfall) == (160, 120, 1, None)


def test_a_transport_stream_that_starts_late_on_its_clock_starts_at_zero(tmp_path: Path) -> None:
    opened, frames = feed_of(film(tmp_path / "aired.ts", first_pts=25 * 40_000))
    assert [frame.t for frame in frames] == [0.0, 0.5, 1.0, 1.5]
    assert numbers(frames) == [0, 12, 25, 37]
    assert (opened.expected, opened.shortfall) == (4, None)


def test_two_transport_streams_in_one_file_follow_each_other(tmp_path: Path) -> None:
    one = film(tmp_path / "one.ts", pictures=50, first_pts=25 * 100)
    one.write_bytes(one.read_bytes() + film(tmp_path / "two.ts", pictures=50).read_bytes())
    _, frames = feed_of(one)
    assert [frame.t for frame in frames] == [n / 2 for n in range(8)]
    assert numbers(frames) == [0, 12, 25, 37] * 2


def test_sound_that_starts_later_does_not_damage_a_transport_stream(tmp_path: Path) -> None:
    # So large that FFmpeg finds the sound neither at the beginning nor at the end.
    aired = film(tmp_path / "aired.ts", pictures=200, noise=60)
    pictures = aired.read_bytes()
    aired.write_bytes(pictures + sound_only(tmp_path / "sound.ts").read_bytes() + pictures)
    opened, frames = feed_of(aired)
    assert numbers(frames) == [int(12.5 * n) for n in range(16)] * 2
    assert opened.shortfall is None


# The picture of number 1 has a white bar at the left edge. Turned clockwise by 90 degrees, it is at the top.
@pytest.mark.parametrize(("degrees", "edge"), [(90, "top"), (180, "right"), (270, "bottom")])
def test_a_phone_recording_is_turned_upright(tmp_path: Path, degrees: int, edge: str) -> None:
    phone = turned(film(tmp_path / "phone.mp4", "mpeg4", pictures=2, times_ms=[0, 40], size=(320, 160)), degrees)
    opened, frames = feed_of(phone, fps=25)
    picture = pixels(frames[1].jpeg)
    height, width = picture.shape[:2]
    assert (width, height) == (opened.width, opened.height) == ((320, 160) if degrees == 180 else (160, 320))
    edges = {
        "top": picture[:10].mean(),
        "bottom": picture[-10:].mean(),
        "left": picture[:, :10].mean(),
        "right": picture[:, -10:].mean(),
    }
    assert max(edges, key=lambda name: edges[name]) == edge


def test_4k_pictures_are_scaled_down_but_the_recorded_size_is_kept(tmp_path: Path) -> None:
    opened, frames = feed_of(film(tmp_path / "4k.mp4", "mpeg4", pictures=2, fps=2, size=(3840, 2160)))
    assert (opened.width, opened.height) == (3840, 2160)
    assert [pixels(frame.jpeg).shape for frame in frames] == [(1080, 1920, 3)] * 2
    assert numbers(frames) == [0, 1]


@pytest.mark.parametrize("sound_s", [1.0, 5.0])
def test_sound_shorter_or_longer_than_the_video_is_not_a_shortfall(tmp_path: Path, sound_s: float) -> None:
    for name in ("talk.mp4", "talk.mkv"):
        opened, frames = feed_of(film(tmp_path / name, sound_s=sound_s), fps=25)
        assert numbers(frames)[:50] == list(range(50))
        assert set(numbers(frames)[50:]) == ({49} if sound_s > 2 else set()), "the last picture is held"
        assert opened.shortfall is None


def test_a_file_name_may_be_a_pattern_and_need_not_be_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film(tmp_path / "plain.mp4", pictures=3).rename(tmp_path / "-x%d:caf\udce9.mp4")
    monkeypatch.chdir(tmp_path)
    assert numbers(feed_of("-x%d:caf\udce9.mp4")[1]) == [0]


# Bad input.


@contextmanager
def refusal(path: Path | str, message: str) -> Iterator[None]:
    with pytest.raises(SourceError) as caught:
        yield
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert message in line
    assert "\n" not in line


def empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def text(folder: Path) -> Path:
    (folder / "notes.mp4").write_text("What was said in the lecture.\n" * 100)
    return folder / "notes.mp4"


def playlist(folder: Path) -> Path:
    film(folder / "other.ts")
    (folder / "list.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nother.ts\n#EXT-X-ENDLIST\n")
    return folder / "list.mp4"


def rubbish(folder: Path) -> Path:
    path = film(folder / "rubbish.mp4", mux_options={"movflags": "faststart"})
    data = path.read_bytes()
    pictures = data.index(b"mdat") + 4
    path.write_bytes(data[:pictures] + b"\xff" * (len(data) - pictures))
    return path


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda folder: folder / "none.mp4", "no such file; check the path"),
        (lambda folder: folder, "is a folder; name a video file in it"),
        (lambda _: Path("/dev/zero"), "is a device or a pipe"),
        (empty, "the file is empty"),
        (text, "is not a readable video; give an mp4"),
        (playlist, "is a playlist, and nothing in it is opened"),
        (lambda folder: cut(film(folder / "unfinished.mp4")), "its index (moov) is missing"),
        (lambda folder: sound_only(folder / "podcast.mp4"), "contains no video"),
        (rubbish, "contains no picture that can be decoded"),
    ],
)
def test_a_file_that_is_not_a_recording_is_refused(tmp_path: Path, made: Callable[[Path], Path], message: str) -> None:
    path = made(tmp_path)
    with refusal(path, message):
        open_source(str(path), 2)


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    secret = film(folder / "secret.mp4", pictures=2)
    secret.chmod(0)
    privileged = os.geteuid() == 0
    if privileged:
        for parent in (folder, *folder.parents[:3]):
            parent.chmod(0o755)
        os.seteuid(65534)
    try:
        with refusal(secret, "you may not read it"):
            open_source(str(secret), 2)
    finally:
        if privileged:
            os.seteuid(0)


@pytest.mark.parametrize(
    ("does", "message"),
    [
        ("os.kill(os.getpid(), 11)", "the decoder crashed on it (SIGSEGV)"),
        ("time.sleep(600)", "no picture within 0.2 s"),
    ],
)
def test_a_file_on_which_the_decoder_crashes_or_hangs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, message: str
) -> None:
    monkeypatch.setattr(decoder_process, "CHILD", f"import os, time; {does}  # producer.feeding.decoding.decoder")
    if "sleep" in does:
        monkeypatch.setattr(opening, "FILE_OPENING_S", 0.2)
    bad = film(tmp_path / "bad.mp4", pictures=2)
    with refusal(bad, message):
        open_source(str(bad), 2)


# Errors later on.


@pytest.mark.parametrize(
    ("name", "codec", "mux_options"),
    [
        ("cut.mp4", "libx264", {"movflags": "faststart"}),
        ("cut.mkv", "libx264", {}),
        ("cut.webm", "libvpx-vp9", {}),
        ("cut.mov", "mpeg4", {"movflags": "faststart"}),
        ("cut.avi", "mpeg4", {}),
    ],
)
def test_a_truncated_file_gives_its_frames_and_a_shortfall(
    tmp_path: Path, name: str, codec: str, mux_options: dict[str, str]
) -> None:
    whole = film(tmp_path / name, codec, pictures=200, mux_options=mux_options, noise=60, size=(160, 120))
    opened, frames = feed_of(cut(whole))
    assert 2 <= len(frames) <= 14
    assert numbers(frames) == [int(12.5 * n) for n in range(len(frames))]
    assert opened.shortfall is not None
    said = re.fullmatch(r"the file ends at 0:00:0(\d) of 0:00:08; the recording was cut off", opened.shortfall)
    assert said is not None
    assert int(said[1]) in {int(frames[-1].t), int(frames[-1].t + 0.5)}


def test_a_file_damaged_in_the_middle_continues_after_damaged_frames(tmp_path: Path) -> None:
    damaged = film(
        tmp_path / "damaged.mp4",
        pictures=100,
        noise=60,
        size=(160, 120),
        codec_options={"preset": "ultrafast", "g": "10"},
        mux_options={"movflags": "faststart"},
    )
    data = damaged.read_bytes()
    start = data.index(b"mdat") + (len(data) - data.index(b"mdat")) * 4 // 10
    hole = len(data) // 5
    damaged.write_bytes(data[:start] + b"\xff" * hole + data[start + hole :])
    opened, frames = feed_of(damaged)
    assert [frame.frame for frame in frames] == list(range(8))
    assert numbers(frames)[-1] == 87
    marked = [frame.frame for frame in frames if frame.damaged]
    assert marked == list(range(marked[0], marked[-1] + 1))
    assert 1 <= len(marked) <= 3
    assert opened.shortfall is None


@pytest.fixture
def long_film(tmp_path: Path) -> Path:
    """The pipe holds only one of its large pictures, so the decoder waits for its reader."""
    return film(tmp_path / "long.mp4", "mpeg4", pictures=20, fps=2, size=(640, 480), noise=200)


def test_stop_ends_the_frames_without_a_shortfall(long_film: Path) -> None:
    stop = threading.Event()
    with open_source(str(long_film), 2) as opened:
        frames = opened.frames(stop)
        assert next(frames).frame == 0
        stop.set()
        assert list(frames) == []
    assert opened.shortfall is None


def test_closing_ends_a_decoder_that_does_not_respond(long_film: Path) -> None:
    opened = open_source(str(long_film), 2)
    assert os.getpgid(opened.decoder_pid) != os.getpgid(0), "a Ctrl-C for the producer does not reach it"
    os.kill(opened.decoder_pid, signal.SIGSTOP)
    opened.close()
    opened.close()
    assert not Path(f"/proc/{opened.decoder_pid}").exists()


def test_a_decoder_does_not_outlive_its_producer(long_film: Path) -> None:
    program = (
        "import sys, time; from producer.feeding.sources.opening import open_source\n"
        "print(open_source(sys.argv[1], 2).decoder_pid, flush=True); time.sleep(600)"
    )
    here = Path(__file__).parents[4]
    producer = subprocess.Popen([sys.executable, "-c", program, long_film], cwd=here, stdout=subprocess.PIPE, text=True)
    assert producer.stdout is not None
    decoder_pid = int(producer.stdout.readline())
    producer.kill()
    producer.wait()
    producer.stdout.close()
    while is_decoder(decoder_pid):
        time.sleep(0.02)


def test_the_decoder_reports_while_no_sample_is_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "ALIVE_EVERY_S", 0.0)
    sent: list[bytes] = []
    lecture = FileTarget(os.fsencode(film(tmp_path / "lecture.mp4")))
    decoder.decode(Order(lecture, 0.1, answers=-1), sent.append)
    assert [message for message in sent if b"opened" in message[:20]]
    assert sum(b'"alive"' in message[:20] for message in sent) > 40
