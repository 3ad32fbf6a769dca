"""Sources with several videos or renditions: the one that a player shows is read, or the one that is asked for."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import av
import pytest
from av.stream import Disposition

from producer.feeding.decoding import choosing
from producer.feeding.decoding.container import video_in
from producer.feeding.sources.address import SourceError
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.sources.live import LiveSource
from producer.feeding.sources.opening import open_source, open_sources
from producer.feeding.sources.recording import Recording
from producer.feeding.sources.request import SourceRequest
from tests.producer.feeding.films import Track, film, number_of, several
from tests.streams import Quiet, served_folder, serving

NEVER = threading.Event()
NONE = Disposition(0)
WIDE, SQUARE, STILL = (320, 240), (240, 240), (64, 64)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("films") / "wide.mp4", size=WIDE)


@pytest.fixture(scope="module")
def square(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("films") / "square.mp4", size=SQUARE)


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / "still.mov"
    return film(path, "mjpeg", pictures=1, size=STILL, pixel_format="yuvj420p")


def read(source: str | Path, video: str | None = None) -> tuple[tuple[int, int], int, str | None]:
    """Size and number of frames at 5 frames per second, and what is said about several videos."""
    with open_source(str(source), 5, video=video) as opened:
        frames = list(opened.frames(NEVER))
        assert [number_of(frame.jpeg) for frame in frames] == [5 * k for k in range(len(frames))]
        assert opened.shortfall is None
        return (opened.width, opened.height), len(frames), opened.label.notice


@pytest.mark.parametrize("container", ["mp4", "mkv", "mov", "ts", "nut"])
def test_a_still_is_not_read_even_if_it_is_the_first_and_the_default_stream(
    tmp_path: Path, container: str, wide: Path, square: Path, still: Path
) -> None:
    for name, single in (
        ("still", Track(still, "Cover", disposition=Disposition.default)),
        ("one", Track(wide, pictures=1)),
    ):
        path = several(tmp_path / f"{name}.{container}", single, Track(square, disposition=NONE))
        assert read(path) == (SQUARE, 10, None), name


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "nut"])
def test_of_several_videos_the_first_is_read_and_all_are_named(
    tmp_path: Path, container: str, wide: Path, square: Path
) -> None:
    path = several(tmp_path / f"two.{container}", Track(wide), Track(square))
    hint = "has 2 videos: 1 (320x240), 2 (240x240); video 1 is read; choose with --stream N"
    assert read(path) == (WIDE, 10, hint)
    assert read(path, "1") == (WIDE, 10, None)
    assert read(path, "2") == (SQUARE, 10, None)


def test_the_default_video_is_read_and_language_and_title_choose(tmp_path: Path, wide: Path, square: Path) -> None:
    for container in ("mp4", "mkv"):
        first = Track(wide, "Slides", "deu", NONE)
        path = several(tmp_path / f"two.{container}", first, Track(square, "Lecturer", "eng", Disposition.default))
        size, _, hint = read(path)
        assert size == SQUARE
        videos = "1 (320x240, deu, Slides), 2 (240x240, eng, Lecturer)"
        assert hint == f"has 2 videos: {videos}; video 2 is read; choose with --stream N"
        assert read(path, "slides")[0] == read(path, "deu")[0] == read(path, "1")[0] == WIDE


def test_a_video_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path, wide: Path, still: Path) -> None:
    path = several(tmp_path / "one.mp4", Track(wide), Track(still))
    with pytest.raises(SourceError) as refused:
        read(path, "2")
    assert str(refused.value) == (f"{path}: has no video '2'; it has 1 video: 1 (320x240); leave out --stream")


def test_a_still_in_a_fragmented_mp4_is_found_too(tmp_path: Path, wide: Path, square: Path) -> None:
    tracks = Track(wide, pictures=1), Track(square)
    assert read(several(tmp_path / "f.mp4", *tracks, options={"movflags": "frag_keyframe+empty_moov"})) == (
        SQUARE,
        10,
        None,
    )


def test_a_video_that_had_one_picture_for_long_is_named_but_not_read(
    tmp_path: Path, wide: Path, square: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = several(tmp_path / "two.nut", Track(wide, pictures=1), Track(square))
    monkeypatch.setattr(choosing, "PEEKED_BYTES", 5000)
    container, choice = choosing.choose_in(av.open(path), None, 1920, lambda: av.open(path))
    with container:
        assert video_in(container).width == SQUARE[0]
    assert choice.number == 2
    assert choice.notice == "has 2 videos: 1 (320x240), 2 (240x240); video 2 is read; choose with --stream N"


def test_a_live_stream_with_several_videos_is_read_like_a_file(tmp_path: Path, wide: Path, square: Path) -> None:
    data = several(tmp_path / "two.ts", Track(wide), Track(square)).read_bytes()

    class WithoutLength(Quiet):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(data)

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), WithoutLength)) as port:
        for video, size in ((None, WIDE), ("2", SQUARE)):
            with open_source(f"http://127.0.0.1:{port}/live", 5, video=video) as opened:
                assert isinstance(opened, LiveSource)
                assert size_of(opened) == size
                assert (opened.label.notice is None) == (video is not None)


def test_a_recording_on_the_web_is_read_like_a_file(tmp_path: Path, wide: Path, square: Path, still: Path) -> None:
    several(tmp_path / "still.mkv", Track(still, disposition=Disposition.default), Track(square))
    several(tmp_path / "two.mp4", Track(wide), Track(square))
    with served_folder(tmp_path) as url:
        assert read(f"{url}/still.mkv") == (SQUARE, 10, None)
        assert read(f"{url}/two.mp4", "2") == (SQUARE, 10, None)


def test_a_video_that_ends_before_the_others_is_not_cut_off(tmp_path: Path, wide: Path, square: Path) -> None:
    path = several(tmp_path / "two.mkv", Track(wide), Track(square, pictures=15))
    with open_source(str(path), 5, video="2") as opened:
        assert len(list(opened.frames(NEVER))) >= 3
        assert opened.shortfall is None


def test_a_recording_that_is_not_the_usual_video_has_another_name(tmp_path: Path, wide: Path, square: Path) -> None:
    path = several(tmp_path / "two.mp4", Track(wide, "Slides"), Track(square, "Lecturer"))
    names = []
    for video in (None, "slides", "2", "lecturer"):
        with open_source(str(path), 5, video=video) as opened:
            names.append(opened.label.name)
    assert names == ["two.mp4", "two.mp4", "two.mp4 (video 2)", "two.mp4 (video 2)"]


def test_a_recording_resumed_in_its_middle_is_the_same_video(tmp_path: Path, wide: Path, square: Path) -> None:
    path = several(tmp_path / "two.mkv", Track(wide), Track(square))
    with open_source(str(path), 5, first=6, video="2") as opened:
        frames = list(opened.frames(NEVER))
        assert (opened.width, opened.height) == SQUARE
    assert [(frame.frame, number_of(frame.jpeg)) for frame in frames] == [(k, 5 * k) for k in range(6, 10)]


def test_a_choice_applies_to_each_of_several_recordings(tmp_path: Path, wide: Path, square: Path) -> None:
    ada = SourceRequest(str(several(tmp_path / "a.mp4", Track(wide), Track(square))), "ada")
    bob = SourceRequest(str(several(tmp_path / "b.mkv", Track(square), Track(wide))), "bob")
    with open_sources([ada, bob], 5) as both:
        assert both.label.notice is not None
        assert both.label.notice.count("choose with --stream N") == 2
    with open_sources([ada, bob], 5, video="2") as both:
        assert both.label.name == "ada=a.mp4 (video 2), bob=b.mkv (video 2)"
        assert {frame.size for frame in both.frames(NEVER)} == {SQUARE, WIDE}
    with pytest.raises(SourceError, match=r"b\.mkv: has no video '3'"):
        open_sources([bob, ada], 5, video="3")


SIZES = [(160, 90), (320, 180), (2560, 1440), (1280, 720)]
SEGMENT_S = 2


@contextmanager
def counted(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The URL of a web server for `folder`, and the paths that were asked for."""
    asked: list[str] = []

    class Counting(Quiet):
        def do_GET(self) -> None:
            asked.append(self.path.removeprefix("/"))
            super().do_GET()

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), partial(Counting, directory=str(folder)))) as port:
        yield f"http://127.0.0.1:{port}", asked


def hls(folder: Path, complete: bool = True) -> None:
    """A master list of SIZES, each with four segments of SEGMENT_S seconds."""
    master = "#EXTM3U\n"
    for number, size in enumerate(SIZES):
        master += f"#EXT-X-STREAM-INF:BANDWIDTH={1000 * (number + 1)},RESOLUTION={size[0]}x{size[1]}\n{number}.m3u8\n"
        listed = f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{SEGMENT_S}\n"
        for part in range(4):
            name = f"{number}-{part}.ts"
            film(folder / name, pictures=5 * SEGMENT_S, fps=5, size=size, first_pts=5 * SEGMENT_S * part)
            listed += f"#EXTINF:{SEGMENT_S},\n{name}\n"
        (folder / f"{number}.m3u8").write_text(listed + "#EXT-X-ENDLIST\n" * complete)
    (folder / "master.m3u8").write_text(master)


def size_of(source: Recording | LiveSource) -> tuple[int, int]:
    return source.width, source.height


def test_the_best_rendition_of_an_hls_list_is_read_and_no_other_is_fetched(tmp_path: Path) -> None:
    hls(tmp_path)
    with counted(tmp_path) as (url, asked):
        with open_source(f"{url}/master.m3u8", 1) as opened:
            assert (size_of(opened), opened.label.notice) == ((1280, 720), None)
            assert len(list(opened.frames(NEVER))) == opened.expected == 4 * SEGMENT_S
        # FFmpeg looks at the first segment of every rendition.
        assert {path for path in asked if path.endswith(("-2.ts", "-3.ts"))} == {"3-2.ts", "3-3.ts"}
        with open_source(f"{url}/master.m3u8", 1, video="2") as opened:
            assert size_of(opened) == (320, 180)
        with pytest.raises(SourceError, match=r"has no video '5'; it has 4 videos: 1 \(160x90\), 2 \(320x180\), 3"):
            open_source(f"{url}/master.m3u8", 1, video="5")


def test_the_best_rendition_of_a_live_hls_stream_is_read(tmp_path: Path) -> None:
    hls(tmp_path, complete=False)
    with served_folder(tmp_path) as url, open_source(f"{url}/master.m3u8", 1) as opened:
        assert isinstance(opened, LiveSource)
        frames: list[SampledFrame] = list(itertools.islice(opened.frames(NEVER), 1))
        assert size_of(opened) == (1280, 720)
        assert len(frames) == 1


@pytest.mark.parametrize("options", [{}, {"use_timeline": "0"}, {"single_file": "1"}])
def test_the_best_rendition_of_a_dash_manifest_is_read_and_no_other_is_fetched(
    tmp_path: Path, options: dict[str, str]
) -> None:
    films = [
        film(tmp_path / f"{size[0]}.mp4", pictures=40, fps=5, size=size, codec_options={"g": "10"}) for size in SIZES
    ]
    several(tmp_path / "list.mpd", *map(Track, films), options={**options, "seg_duration": str(SEGMENT_S)})
    with counted(tmp_path) as (url, asked):
        with open_source(f"{url}/list.mpd", 1) as opened:
            assert isinstance(opened, Recording)
            assert (size_of(opened), opened.label.notice) == ((1280, 720), None)
            assert [number_of(frame.jpeg) for frame in opened.frames(NEVER)] == [5 * k for k in range(8)]
            assert opened.shortfall is None
        assert {path for path in asked if "stream" in path and "stream3" not in path} == set()
        with open_source(f"{url}/list.mpd", 1, video="2") as opened:
            assert size_of(opened) == (320, 180)


def test_a_live_dash_stream_and_a_local_manifest_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "list.mpd").write_text('<?xml version="1.0"?>\n<MPD type="dynamic"></MPD>')
    with (
        served_folder(tmp_path) as url,
        pytest.raises(SourceError, match=r"is a live DASH stream, which cannot be read"),
    ):
        open_source(f"{url}/list.mpd", 1)
    with pytest.raises(SourceError, match=r"is a playlist, and nothing in it is opened; give the recording"):
        open_source(str(tmp_path / "list.mpd"), 1)


def test_a_stream_of_the_web_that_is_no_video_is_still_one_line(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<!doctype html>" + "<p>no video</p>" * 9999)
    with served_folder(tmp_path) as url, pytest.raises(SourceError, match=r"sends no readable video; check whether"):
        open_source(f"{url}/page.html", 1)
