"""Recordings whose size, shape, times or data are odd are read as a player shows them."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from producer.feeding.sources.frame import SampledFrame
from producer.feeding.sources.opening import open_source, open_sources
from producer.feeding.sources.recording import Recording
from producer.feeding.sources.request import SourceRequest
from tests.producer.feeding.films import copied, damage_bits, elsewhere, film, number_of, pixels, resized, with_matrix
from tests.producer.feeding.sources.test_recording import NEVER, feed_of, numbers

AT_TWO_PER_SECOND = [0, 12, 25, 37, 50, 62, 75, 87]


# Size and shape.


@pytest.mark.parametrize(
    ("name", "codec"),
    [("l.webm", "libvpx"), ("l.webm", "libvpx-vp9"), ("l.mkv", "libsvtav1"), ("l.mkv", "libx264"), ("l.ts", "libx264")],
)
def test_every_picture_is_sent_in_its_own_size(tmp_path: Path, name: str, codec: str) -> None:
    sizes = [(160, 90), (640, 360), (240, 360), (2560, 1440)]
    opened, frames = feed_of(elsewhere(resized, tmp_path / name, codec, sizes, pictures=13, fps=26))
    assert (opened.width, opened.height, opened.shortfall) == (160, 90, None)
    sent = [pixels(frame.jpeg).shape[1::-1] for frame in frames]
    assert sent == [(160, 90), (640, 360), (240, 360), (1920, 1080)]
    assert numbers(frames) == [0, 13, 26, 39]


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    for number, (aspect, size) in enumerate([("2/1", (320, 120)), ("64/45", (228, 120)), ("1/2", (160, 240))]):
        narrow = film(
            tmp_path / f"{number}.mkv", size=(160, 120), codec_options={"aspect": aspect, "preset": "ultrafast"}
        )
        opened, frames = feed_of(narrow)
        assert (opened.width, opened.height) == size
        assert {pixels(frame.jpeg).shape[1::-1] for frame in frames} == {size}
        assert numbers(frames) == [0, 12, 25, 37]


ORIENTATIONS = [
    (1, 0, 0, 1),
    (-1, 0, 0, 1),
    (1, 0, 0, -1),
    (-1, 0, 0, -1),
    (0, 1, 1, 0),
    (0, 1, -1, 0),
    (0, -1, 1, 0),
    (0, -1, -1, 0),
]


@pytest.mark.parametrize(("a", "b", "c", "d"), [*ORIENTATIONS, (0, 0, 0, 0)])
def test_all_orientations_of_a_container_are_applied(tmp_path: Path, a: int, b: int, c: int, d: int) -> None:
    """Picture number 1 has a white bar at its left edge, that is at x = -1."""
    phone = with_matrix(film(tmp_path / "l.mp4", "mpeg4", pictures=2, times_ms=[0, 40], size=(320, 160)), a, b, c, d)
    _, frames = feed_of(phone, fps=25)
    picture = pixels(frames[1].jpeg)
    edges = {
        (-1, 0): picture[:, :10].mean(),
        (1, 0): picture[:, -10:].mean(),
        (0, -1): picture[:10].mean(),
        (0, 1): picture[-10:].mean(),
    }
    expected = (-a, -b) if (a, b) != (0, 0) else (-1, 0)
    assert max(edges, key=lambda edge: edges[edge]) == expected
    assert picture.shape[:2] == ((160, 320) if expected[0] else (320, 160))


# Times.


def late(folder: Path, name: str, pictures: int) -> Path:
    """A file with sound from the start, and numbered pictures that begin `pictures` picture steps later."""
    on_time = film(folder / f"on-time-{name}", pictures=100, sound_s=9.0)

    def delay(packet: Any) -> None:
        if packet.stream.type == "video":
            steps = round(pictures / (packet.stream.average_rate * packet.time_base))
            packet.pts += steps
            packet.dts = None if packet.dts is None else packet.dts + steps

    return copied(on_time, folder / name, delay)


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.mov", "late.ts"])
def test_a_video_that_starts_later_than_its_file_starts_there(tmp_path: Path, name: str) -> None:
    opened, frames = feed_of(late(tmp_path, name, 75))
    # A sound of AAC may begin with a packet before the file's time 0, so a transport stream starts a little earlier.
    assert [frame.t for frame in frames][:2] in ([3.0, 3.5], [3.5, 4.0])
    assert [frame.frame for frame in frames] == list(range(len(frames)))
    shown = [number_of(frame.jpeg) for frame in frames if frame.t < 7]
    assert shown == pytest.approx([(frame.t - 3) * 25 for frame in frames if frame.t < 7], abs=4)
    assert opened.expected == len(frames)
    assert opened.shortfall is None


def test_recordings_of_one_lecture_stay_in_step_if_a_video_starts_later(tmp_path: Path) -> None:
    requests = [
        SourceRequest(str(late(tmp_path, "ada.mp4", 75)), "ada"),
        SourceRequest(str(film(tmp_path / "bob.mp4", pictures=100)), "bob"),
    ]

    def frames(first: int) -> list[SampledFrame]:
        with open_sources(requests, 2.0, first=first) as source:
            return list(source.frames(NEVER))

    whole = frames(0)
    assert {(frame.frame, frame.t) for frame in whole} == {
        (n, n / 2) for n in range(len(whole) and whole[-1].frame + 1)
    }
    assert [frame.frame for frame in whole if frame.participant == "bob"] == list(range(8))
    assert [frame.frame for frame in whole if frame.participant == "ada"] == list(range(6, whole[-1].frame + 1))
    assert frames(5) == [frame for frame in whole if frame.frame >= 5], "a resumed lecture has the same frames"


@pytest.mark.parametrize(
    ("name", "at"),
    [("l.mp4", 30), ("l.mp4", 97), ("l.mkv", 0), ("l.mkv", 30), ("l.mkv", 97), ("l.ts", 0), ("l.ts", 30)],
)
def test_one_wrong_time_stamp_moves_no_other_picture(tmp_path: Path, name: str, at: int) -> None:
    steady = film(tmp_path / "steady.mkv", pictures=100, codec_options={"preset": "ultrafast", "bf": "0"})

    def mistake(packet: Any) -> None:
        if packet.pts == at * 40:
            packet.pts += 300_000

    opened, frames = feed_of(copied(steady, tmp_path / name, mistake))
    assert [frame.t for frame in frames[:8]] == [n / 2 for n in range(8)]
    assert numbers(frames)[:8] == pytest.approx(AT_TWO_PER_SECOND, abs=1)
    assert len(frames) <= 9
    assert opened.shortfall is None


@pytest.mark.parametrize("at", [1, 97])
def test_the_end_by_a_wrong_time_stamp_is_not_missing(tmp_path: Path, at: int) -> None:
    """The picture is displayed late, but decoded in time. Matroska's header then declares 300 seconds."""
    steady = film(tmp_path / "steady.mkv", pictures=100, codec_options={"preset": "ultrafast", "bf": "2"})

    def mistake(packet: Any) -> None:
        if packet.pts == at * 40:
            packet.pts += 300_000

    opened, frames = feed_of(copied(steady, tmp_path / "l.mkv", mistake))
    assert numbers(frames)[:8] == pytest.approx(AT_TWO_PER_SECOND, abs=1)
    assert (len(frames), opened.shortfall) == (8, None)
    assert not any(frame.damaged for frame in frames)


@pytest.mark.parametrize("name", ["l.mkv", "l.mp4", "l.ts"])
def test_a_clock_that_starts_at_an_hour_is_not_a_cut_off_file(tmp_path: Path, name: str) -> None:
    opened, frames = feed_of(film(tmp_path / name, pictures=100, first_pts=25 * 3600))
    assert [frame.t for frame in frames] == [n / 2 for n in range(8)]
    assert numbers(frames) == AT_TWO_PER_SECOND
    assert (opened.expected, opened.shortfall) == (8, None)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("l.asf", "libx264"), ("l.wmv", "mpeg4"), ("l.mxf", "libx264"), ("l.mxf", "mpeg2video"), ("l.avi", "libx264"),
     ("l.avi", "mpeg4"), ("l.nut", "libx264"), ("l.mpg", "mpeg2video")],
)  # fmt: skip
def test_b_frames_come_in_order(tmp_path: Path, name: str, codec: str) -> None:
    options = {"bf": "3", "b_strategy": "0", "g": "30", **({"preset": "veryfast"} if codec == "libx264" else {})}
    _, frames = feed_of(film(tmp_path / name, codec, pictures=250, codec_options=options))
    assert numbers(frames)[:20] == [n * 25 // 2 for n in range(20)]
    assert not any(frame.damaged for frame in frames)


@pytest.mark.parametrize("name", ["l.mkv", "l.mp4", "l.mov"])
def test_the_last_picture_is_held_until_the_sound_ends(tmp_path: Path, name: str) -> None:
    opened, frames = feed_of(film(tmp_path / name, times_ms=[0, 1000, 2000], sound_s=8.0, codec_options={"bf": "0"}))
    assert numbers(frames) == [0, 0, 1, 1] + [2] * (len(frames) - 4)
    assert len(frames) in (16, 17)
    assert opened.shortfall is None
    assert opened.expected == len(frames)


# Damage.


@pytest.mark.parametrize("name", ["l.mp4", "l.mkv"])
def test_a_packet_that_is_missing_from_a_file_is_damage_until_the_next_key_frame(tmp_path: Path, name: str) -> None:
    options = {"preset": "veryfast", "bf": "0", "g": "50", "sc_threshold": "0"}
    whole = film(tmp_path / "whole.mkv", pictures=100, codec_options=options)
    _, frames = feed_of(copied(whole, tmp_path / name, lambda packet: packet.pts != 600))
    assert [frame.t for frame in frames if frame.damaged] == [1.0, 1.5]


@pytest.mark.parametrize(
    ("name", "codec"), [("l.mp4", "libx264"), ("l.mkv", "libx264"), ("l.ts", "libx264"), ("l.mp4", "mpeg4")]
)
def test_errors_that_the_decoder_conceals_are_marked_until_the_next_key_frame(
    tmp_path: Path, name: str, codec: str
) -> None:
    options = {
        "g": "50",
        "bf": "0",
        **({"preset": "ultrafast", "sc_threshold": "0"} if codec == "libx264" else {"sc_threshold": "1000000000"}),
    }
    whole = film(tmp_path / name, codec, pictures=200, noise=60, codec_options=options)
    assert not any(frame.damaged for frame in feed_of(whole)[1])
    opened, frames = feed_of(damage_bits(whole, 0.4))
    damaged = [frame.frame for frame in frames if frame.damaged]
    assert damaged == list(range(damaged[0], damaged[0] // 4 * 4 + 4)), "50 pictures are one group, and four frames"
    assert opened.shortfall is None


def lose(path: Path, target: Path, lost: Callable[[int, int], bool]) -> Path:
    """A transport stream without some of its packets of 188 bytes, those of its tables excepted."""
    data = path.read_bytes()
    packets = [data[start : start + 188] for start in range(0, len(data), 188)]
    kept = [packet for n, packet in enumerate(packets) if n < 20 or not lost(n, n * 1000 // len(packets))]
    target.write_bytes(b"".join(kept))
    return target


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg2video"])
def test_lost_packets_are_damage_until_the_next_key_frame(tmp_path: Path, codec: str) -> None:
    options = {
        "libx265": {
            "preset": "ultrafast",
            "x265-params": "keyint=50:min-keyint=50:scenecut=0:bframes=0:log-level=none",
        },
        "libx264": {"preset": "ultrafast", "g": "50", "bf": "0"},
        "mpeg2video": {"g": "50", "sc_threshold": "1000000000"},
    }
    whole = film(tmp_path / "whole.ts", codec, pictures=200, noise=60, codec_options=options[codec])
    opened, frames = feed_of(lose(whole, tmp_path / "lossy.ts", lambda n, mille: 350 <= mille < 400 and n % 7 < 3))
    assert len(frames) == 16
    damaged = [frame.frame for frame in frames if frame.damaged]
    assert damaged == list(range(damaged[0], damaged[-1] + 1))
    assert damaged[-1] in (7, 11), "50 pictures are one group, and four frames"
    assert len(damaged) <= 5
    assert opened.shortfall is None


@pytest.mark.parametrize(
    ("name", "codec"), [("l.mkv", "libx264"), ("l.mp4", "libx264"), ("l.ts", "libx264"), ("l.mp4", "libx265")]
)
def test_pictures_that_depend_on_left_out_packets_are_damaged(tmp_path: Path, name: str, codec: str) -> None:
    options = {
        "libx265": {"preset": "ultrafast", "x265-params": "keyint=50:min-keyint=50:scenecut=0:log-level=none"},
        "libx264": {"preset": "veryfast", "g": "50", "sc_threshold": "0"},
    }
    whole = film(tmp_path / f"whole-{name}", codec, pictures=200, noise=30, codec_options=options[codec])
    number = count()
    copied(whole, tmp_path / name, lambda _: next(number) not in range(60, 85))
    assert not any(frame.damaged for frame in feed_of(whole)[1])
    damaged = [frame.frame for frame in feed_of(tmp_path / name)[1] if frame.damaged]
    # In H.265 only packets that are there and give no picture are known to be lost. They begin at 3.4 s.
    assert ({7} if codec == "libx265" else {6, 7}) <= set(damaged) <= {5, 6, 7, 8}


def test_a_gap_in_sound_and_pictures_is_damage(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mkv", pictures=200, sound_s=8.0, codec_options={"preset": "ultrafast", "g": "25"})
    copied(whole, tmp_path / "gap.mkv", lambda packet: not 2900 < packet.pts < 5100)
    assert not any(frame.damaged for frame in feed_of(whole)[1])
    _, frames = feed_of(tmp_path / "gap.mkv")
    damaged = {frame.t for frame in frames if frame.damaged}
    assert {3.5, 4.0, 4.5, 5.0} <= damaged <= {3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0}


def test_a_screen_recording_with_long_pictures_and_one_with_pauses_in_the_sound_are_whole(tmp_path: Path) -> None:
    quiet = film(tmp_path / "quiet.mkv", times_ms=[0, 40, 3000, 9000], sound_s=0)
    talking = film(tmp_path / "talking.mkv", times_ms=[0, 40, 3000, 9000], sound_s=9)
    for path in (quiet, talking):
        opened, frames = feed_of(path)
        assert isinstance(opened, Recording)
        assert not any(frame.damaged for frame in frames)
        assert opened.shortfall is None
        assert open_source(str(path), 2).close() is None
