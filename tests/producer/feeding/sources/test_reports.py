"""Recordings of kinds that users of other software reported as read wrong without a word.

Each test names the report.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from producer.feeding.decoding.live_video import LiveVideo
from producer.feeding.decoding.pacing import paced
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.sources.opening import open_source
from tests.gallery import portraits
from tests.producer.feeding.films import elsewhere, film, number_of, numbered, pixels
from tests.producer.feeding.sources.test_recording import NEVER, feed_of
from tests.streams import served_folder

FPS = 25
SIZE = (320, 240)


def changes(frames: list[SampledFrame]) -> list[tuple[float, int]]:
    """The time at which each picture is first seen, and its number."""
    seen: list[tuple[float, int]] = []
    for frame in frames:
        number = number_of(frame.jpeg)
        if not seen or seen[-1][1] != number:
            seen.append((frame.t, number))
    return seen


# Times.


def held_slides(path: Path, times_s: tuple[float, ...] = (0, 1, 2, 14, 15, 32, 33), end_s: float = 34.0) -> Path:
    """Numbered pictures at `times_s` with sound all the while, interleaved as a recorder does it."""
    with av.open(str(path), "w") as output:
        video: Any = output.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "tune": "zerolatency"})
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        sound: Any = output.add_stream("aac", rate=8000, layout="mono")
        due = list(enumerate(times_s))
        for start in range(0, round(end_s * 8000), 1024):
            while due and due[0][1] <= start / 8000:
                number, t = due.pop(0)
                picture = av.VideoFrame.from_ndarray(numbered(number, *SIZE), "bgr24")
                picture.pts, picture.time_base = round(t * FPS), Fraction(1, FPS)
                output.mux(video.encode(picture))
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            samples.sample_rate, samples.pts, samples.time_base = 8000, start, Fraction(1, 8000)
            output.mux(sound.encode(samples))
        output.mux(video.encode())
        output.mux(sound.encode())
    return path


@pytest.mark.parametrize(
    "name",
    [
        "slides.ts",
        "slides.mkv",
        "slides.mp4",
        "slides.flv",
    ],
)
def test_a_slide_that_is_held_for_long_while_sound_goes_on_keeps_its_time(tmp_path: Path, name: str) -> None:
    """bigbluebutton/bigbluebutton#23259, videojs/videojs-contrib-hls#1238, hwangsaeul/hwangsae#9."""
    _, frames = feed_of(held_slides(tmp_path / name))
    seen = changes(frames)
    assert [number for _, number in seen] == list(range(7))
    assert [t for t, _ in seen] == pytest.approx([0, 1, 2, 14, 15, 32, 33], abs=0.51)


def test_a_slide_that_is_held_for_long_keeps_its_time_over_http(tmp_path: Path) -> None:
    """videojs/videojs-contrib-hls#1238."""
    held_slides(tmp_path / "slides.ts")
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:34\n#EXTINF:34,\nslides.ts\n#EXT-X-ENDLIST\n"
    (tmp_path / "slides.m3u8").write_text(playlist)
    with served_folder(tmp_path) as url:
        opened, frames = feed_of(f"{url}/slides.m3u8")
    assert not opened.live
    t, number = changes(frames)[-1]
    assert t == pytest.approx(33.0, abs=0.51)
    assert number == 6


def raw(path: Path, codec: str, fps: int, seconds: int = 4) -> Path:
    return elsewhere(film, path, codec, fps=fps, pictures=fps * seconds, codec_options={}, pixel_format=PIXELS[codec])


PIXELS = {"mjpeg": "yuvj420p", "libsvtav1": "yuv420p"}


@pytest.mark.parametrize(("name", "codec"), [("camera.mjpeg", "mjpeg"), ("camera.obu", "libsvtav1")])
def test_a_raw_stream_without_times_is_not_taken_for_25_fps_without_a_word(
    tmp_path: Path, name: str, codec: str
) -> None:
    """raspberrypi/firmware#245, raspberrypi/picamera2#1135, microsoft/FFmpegInterop#165."""
    opened, _ = feed_of(raw(tmp_path / name, codec, fps=10))
    assert opened.label.notice is not None
    assert "25 pictures per second are assumed" in opened.label.notice


def edited(path: Path, edits: list[tuple[float, float]], lead: int = 1024) -> Path:
    """Play `edits`, stretches (start, length) of the media in seconds. `lead` is the start of an unedited film."""
    entries = b"".join(
        round(length * 1000).to_bytes(4, "big") + (lead + round(start * 12800)).to_bytes(4, "big") + b"\0\1\0\0"
        for start, length in edits
    )
    listed = bytes(4) + len(edits).to_bytes(4, "big") + entries
    path.write_bytes(_replaced(path.read_bytes(), [b"moov", b"trak", b"edts", b"elst"], lambda _: listed))
    return path


def _replaced(data: bytes, path: list[bytes], change: Callable[[bytes], bytes]) -> bytes:
    """The boxes of an mp4 whose index is last, with the content of the box at `path` changed."""
    changed, at = b"", 0
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        content = data[at + 8 : at + size]
        if kind == path[0]:
            content = change(content) if len(path) == 1 else _replaced(content, path[1:], change)
        changed += (len(content) + 8).to_bytes(4, "big") + kind + content
        at += size
    return changed


@pytest.mark.parametrize(
    ("edits", "shown"),
    [
        ([(0, 2)], [0, 12, 25, 37]),
        ([(1, 2)], [25, 37, 50, 62]),
        ([(0, 1), (3, 1)], [0, 12, 75, 87]),
        ([(0, 1), (0, 1)], [0, 12, 0, 12]),
        ([(2, 1), (0, 1)], [50, 62, 0, 12]),
    ],
)
def test_the_edit_list_of_a_phone_is_followed(
    tmp_path: Path, edits: list[tuple[float, float]], shown: list[int]
) -> None:
    """google/ExoPlayer#1659, meta-pytorch/torchcodec#1502, stashapp/stash#5883, mifi/lossless-cut#3057."""
    phone = film(tmp_path / "phone.mp4", pictures=100, codec_options={"preset": "ultrafast", "bf": "2", "g": "25"})
    _, frames = feed_of(edited(phone, edits))
    assert [number_of(frame.jpeg) for frame in frames] == shown


# Lost parts.


def test_a_recording_whose_video_goes_on_under_another_id_is_read_or_reported(tmp_path: Path) -> None:
    """mifi/lossless-cut#338: broadcasts change their streams on the way; recordings are joined with `cat`."""
    joined = film(tmp_path / "one.ts", mux_options={"mpegts_start_pid": "256"})
    other = film(tmp_path / "two.ts", mux_options={"mpegts_start_pid": "500", "mpegts_pmt_start_pid": "4000"})
    joined.write_bytes(joined.read_bytes() + other.read_bytes())
    opened, frames = feed_of(joined)
    assert len(frames) == 8 or opened.shortfall is not None


def test_two_browser_recordings_in_one_file_follow_each_other(tmp_path: Path) -> None:
    """w3c/mediacapture-record#130 and #132, muaz-khan/RecordRTC#267."""
    joined = film(tmp_path / "one.webm", "libvpx", mux_options={"live": "1"}, codec_options={"deadline": "realtime"})
    joined.write_bytes(joined.read_bytes() * 2)
    _, frames = feed_of(joined)
    assert [number_of(frame.jpeg) for frame in frames] == [0, 12, 25, 37] * 2


def test_a_file_that_is_still_being_written_is_reported(tmp_path: Path) -> None:
    """opencv/opencv#11521."""
    growing = film(tmp_path / "growing.mkv", pictures=200, noise=60, mux_options={"live": "1"})
    whole = growing.read_bytes()
    growing.write_bytes(whole[: len(whole) // 2])
    with open_source(str(growing), 2) as opened:
        frames = opened.frames(NEVER)
        next(frames)
        with growing.open("ab") as recorder:
            recorder.write(whole[len(whole) // 2 : -len(whole) // 8])
            recorder.flush()
            rest = list(frames)
            recorder.write(whole[-len(whole) // 8 :])
    assert len(rest) == 15 or opened.shortfall is not None


def test_a_recording_that_begins_between_key_frames_begins_with_the_first_key_frame(tmp_path: Path) -> None:
    """LosCV29/ha-video-vision#120, opencv/opencv#6688. FFmpeg drops such pictures of H.264, H.265 and MPEG-2 itself."""
    cut_off = film(
        tmp_path / "camera.ts", "mpeg4", pictures=150, codec_options={"g": "50", "sc_threshold": "1000000000"}
    )
    packets = len(cut_off.read_bytes()) // 188
    cut_off.write_bytes(cut_off.read_bytes()[packets // 6 * 188 :])
    _, frames = feed_of(cut_off)
    assert 50 <= number_of(frames[0].jpeg) < 60
    assert [frame.t for frame in frames] == [frames[0].t + n / 2 for n in range(len(frames))]


# Pictures.


def moved(shift: int, size: tuple[int, int] = (640, 480)) -> npt.NDArray[np.uint8]:
    """The astronaut, `shift` pixels to the right."""
    picture = np.full((size[1], size[0], 3), 90, np.uint8)
    face = portraits()[0]
    top, left = (size[1] - face.shape[0]) // 2, 100 + shift
    picture[top : top + face.shape[0], left : left + face.shape[1]] = face
    return picture


def interlaced(path: Path, step: int = 6) -> Path:
    """A person who moves by `step` pixels from field to field."""
    with av.open(str(path), "w") as output:
        video: Any = output.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "x264-params": "tff=1"})
        video.width, video.height, video.pix_fmt = 640, 480, "yuv420p"
        for n in range(FPS):
            woven = moved(2 * n % 20 * step)
            woven[1::2] = moved((2 * n + 1) % 20 * step)[1::2]
            output.mux(video.encode(av.VideoFrame.from_ndarray(woven, "bgr24")))
        output.mux(video.encode())
    return path


def combs(picture: npt.NDArray[np.uint8]) -> float:
    """How much more each line differs from the next than from the one after it: about 1 or less without combs."""
    lines = picture.mean(axis=2)
    return float(np.abs(lines[1:-1] - lines[2:]).mean() / np.abs(lines[:-2] - lines[2:]).mean())


def test_an_interlaced_recording_has_no_combs(tmp_path: Path) -> None:
    """kylemcdonald/ofxBlackmagic#9, jellyfin/jellyfin#5230, wiki.tnonline.net/w/Blog/Deinterlacing_Properly."""
    _, frames = feed_of(interlaced(tmp_path / "camcorder.mkv"))
    assert combs(moved(0)) < 1.1
    assert max(combs(pixels(frame.jpeg)) for frame in frames) < 1.1


def layered(path: Path, small: tuple[int, int] = (160, 120), large: tuple[int, int] = (640, 480)) -> Path:
    """VP9 with two spatial layers in each superframe, both shown (VP9 bitstream specification, Annex B)."""
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libvpx-vp9", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = *large, "yuv420p"
        for n, layers in enumerate(zip(_key_frames(small), _key_frames(large), strict=True)):
            mark = bytes([0b11000000 | 3 << 3 | 1])
            sizes = b"".join(len(layer).to_bytes(4, "little") for layer in layers)
            packet = av.Packet(b"".join(layers) + mark + sizes + mark)
            packet.pts = packet.dts = n
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, FPS), stream, True
            output.mux(packet)
    return path


def _key_frames(size: tuple[int, int], count: int = 50) -> Iterator[bytes]:
    codec: Any = av.CodecContext.create("libvpx-vp9", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = *size, "yuv420p", Fraction(1, FPS)
    codec.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "g": "1"}
    for n in range(count):
        picture = av.VideoFrame.from_ndarray(numbered(n, *size), "bgr24").reformat(format="yuv420p")
        picture.pts, picture.time_base = n, Fraction(1, FPS)
        yield from map(bytes, codec.encode(picture))
    yield from map(bytes, codec.encode())


def test_the_largest_spatial_layer_of_a_recording_is_read(tmp_path: Path) -> None:
    """ethand91/mediasoup3-record-demo#3, NVIDIA/VideoProcessingFramework#538."""
    opened, frames = feed_of(layered(tmp_path / "jitsi.webm"))
    assert (opened.width, opened.height) == (640, 480)
    assert {pixels(frame.jpeg).shape[:2] for frame in frames} == {(480, 640)}
    assert [number_of(frame.jpeg) for frame in frames] == [0, 12, 25, 37]


def test_the_largest_spatial_layer_of_a_live_stream_is_read(tmp_path: Path) -> None:
    """NVIDIA/VideoProcessingFramework#538, chromeos/cros-codecs#22."""
    with av.open(str(layered(tmp_path / "jitsi.webm"))) as container:
        video = LiveVideo(container, lambda: None)
        assert {sample.picture.width for sample in paced(video.pictures(), 2)} == {640}


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [("cut_out.mov", "qtrle", "argb"), ("cut_out.mkv", "ffv1", "bgra"), ("cut_out.apng", "apng", "rgba")],
)
def test_what_is_transparent_is_not_read(tmp_path: Path, name: str, codec: str, pixel_format: str) -> None:
    """heygen-com/hyperframes#3220, mpv-player/mpv#10304, Zulko/moviepy#104."""
    with av.open(str(tmp_path / name), "w") as output:
        video: Any = output.add_stream(codec, rate=FPS)
        video.width, video.height, video.pix_fmt = *SIZE, pixel_format
        for _ in range(FPS):
            picture = np.full((SIZE[1], SIZE[0], 4), 255, np.uint8)
            picture[:120, :, 3] = 0
            output.mux(video.encode(av.VideoFrame.from_ndarray(picture, "bgra").reformat(format=pixel_format)))
        output.mux(video.encode())
    _, frames = feed_of(tmp_path / name)
    shown = pixels(frames[0].jpeg)
    assert shown[125:].mean() > 250
    assert shown[:115].mean() < 5


# Colours.


def patches(path: Path, codec: str, pixel_format: str, colours: list[tuple[int, int, int]], **options: str) -> Path:
    """A second of a picture with six patches, as the encoder converts them from BGR."""
    picture = np.concatenate([np.full((96, 32, 3), colour, np.uint8) for colour in colours], axis=1)
    matrix, full = options.pop("matrix", "itu601"), options.pop("full", "")
    with av.open(str(path), "w") as output:
        video: Any = output.add_stream(codec, rate=10, options=options)
        video.width, video.height, video.pix_fmt = picture.shape[1], picture.shape[0], pixel_format
        video.codec_context.colorspace = {"itu601": 6, "itu709": 1, "bt2020": 9}[matrix]
        video.codec_context.color_range = 2 if full else 1
        for _ in range(10):
            frame = av.VideoFrame.from_ndarray(picture, "bgr24")
            converted = frame.reformat(
                format=pixel_format,
                dst_colorspace=matrix,
                src_color_range="JPEG",
                dst_color_range="JPEG" if full else "MPEG",
            )
            output.mux(video.encode(converted))
        output.mux(video.encode())
    return path


SKIN_AND_OTHERS = [(140, 170, 220), (40, 40, 200), (40, 180, 40), (200, 60, 40), (60, 60, 60), (200, 200, 200)]


@pytest.mark.parametrize("full", ["", "full"])
@pytest.mark.parametrize("matrix", ["itu601", "itu709", "bt2020"])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "yuv444p"])
def test_colours_are_read_by_the_matrix_and_range_of_the_file(
    tmp_path: Path, pixel_format: str, matrix: str, full: str
) -> None:
    """opencv/opencv#20513, PyAV-Org/PyAV#1431, #2149 and #2230, AcademySoftwareFoundation/OpenImageIO#4901."""
    path = patches(
        tmp_path / "patches.mkv", "libx264", pixel_format, SKIN_AND_OTHERS, matrix=matrix, full=full, crf="8"
    )
    _, frames = feed_of(path)
    shown = np.array([patch[16:-16, 8:-8].mean(axis=(0, 1)) for patch in np.split(pixels(frames[0].jpeg), 6, axis=1)])
    assert np.abs(shown - SKIN_AND_OTHERS).max() < 8
