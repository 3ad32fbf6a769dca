"""`producer overlay` draws what a lecture has about each face over its recording, or writes no file and says why."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
import redis
from msgspec import structs

from producer.overlay.sightings import Sightings
from producer.presentation.palette import COLOURS
from producer.reading.analysis.boxes import several_recordings
from tests.processes import called
from tests.producer.feeding.films import copied, cut, film, number_of, turned
from tests.producer.reading.scripted import scripted_events, write_scripted
from tests.producer.reading.writing import begin, class_, commit, end
from worker.contract.keys import LectureKeys
from worker.contract.messages import EmotionEvent, Event

SECONDS = 8
SIZE = (640, 360)


def events() -> Iterator[list[Event]]:
    """Two people at 2 fps: p01 is happy and moves right each second, p02 cannot be read and leaves after 3 s."""
    shows = lambda person, frame: "happiness" if person == 0 else "dark" if frame < 6 else None  # noqa: E731
    for frame in scripted_events(2, 2 * SECONDS, shows):
        yield [
            structs.replace(each, box=(40 + 40 * int(each.t) if each.participant == "p01" else 480, 120, 60, 80))
            if isinstance(each, EmotionEvent)
            else each
            for each in frame
        ]


@pytest.fixture
def lecture(client: redis.Redis) -> redis.Redis:
    write_scripted(client, events())
    return client


def pictures(path: Path) -> list[npt.NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in container.decode(video=0)]


def is_near(picture: npt.NDArray[np.uint8], x: int, y: int, code: str) -> bool:
    """Whether the picture has about this colour at a pixel; H.264 changes it a little."""
    wanted = [int(code[at : at + 2], 16) for at in (5, 3, 1)]
    return bool(np.abs(picture[y - 1 : y + 2, x - 1 : x + 2].astype(int) - wanted).max(axis=2).min() < 60)


def test_boxes_follow_the_faces_and_times_and_sound_are_those_of_the_recording(
    lecture: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    recording = film(tmp_path / "l.mp4", pictures=80, fps=10, size=SIZE, sound_s=SECONDS)
    made = tmp_path / "o.mp4"
    assert called("overlay", recording, "l", "-o", made, "--redis", redis_url) == (0, "", "")
    shown = pictures(made)
    assert [number_of_picture(each) for each in shown[:64:9]] == list(range(0, 64, 9))
    assert len(shown) == 80
    for number in (5, 35, 75):
        left = 40 + 40 * (number // 10)
        assert is_near(shown[number], left, 160, COLOURS["happiness"])
        assert is_near(shown[number], left + 60, 160, COLOURS["happiness"])
    grey = [bool(is_near(shown[10], 540, y, "#c8ccd2")) for y in range(122, 198)]
    assert 10 < sum(grey) < 66, "the box of a face that cannot be read is dashed"
    assert not any(is_near(shown[63], 540, y, "#c8ccd2") for y in range(122, 198)), "p02 has left"
    with av.open(str(recording)) as before, av.open(str(made)) as after:
        assert after.streams.video[0].codec_context.name == "h264"
        sound = [[bytes(packet) for packet in each.demux(audio=0) if packet.size] for each in (before, after)]
        assert sound[0] == sound[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l.mp4", "o.mp4"]


def number_of_picture(picture: npt.NDArray[np.uint8]) -> int:
    """The number that `films.numbered` wrote, read where nothing is drawn."""
    import cv2

    return number_of(cv2.imencode(".png", picture[-100:])[1].tobytes())


def test_a_turned_recording_is_upright_and_a_smaller_copy_has_its_boxes_in_place(
    lecture: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    phone = turned(film(tmp_path / "phone.mp4", pictures=80, fps=10, size=(180, 320)), 90)
    roster = tmp_path / "roster.yaml"
    roster.write_text("participants: {p01: Åsa}", encoding="utf-8")
    made = tmp_path / "o.mkv"
    assert called("overlay", phone, "l", "-o", made, "--roster", roster, "--redis", redis_url) == (0, "", "")
    shown = pictures(made)
    assert shown[0].shape == (180, 320, 3)
    assert is_near(shown[35], (40 + 40 * 3) // 2, 80, COLOURS["happiness"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("long", "is 0:00:20 long, but the events of lecture l end at 0:00:08; give the recording that was ingested"),
        ("short", "is 0:00:02 long, but the events of lecture l end at 0:00:08"),
        ("square", "its picture has 360x360 pixels, that of lecture l 640x360; give the recording"),
        ("class only", "lecture l was ingested with --class-only: nothing is known per person"),
        ("several", "lecture l was made of several recordings (p01=a.mp4, p02=b.mp4)"),
        ("suffix", "the name must end in .mp4 or .mkv"),
        ("exists", "exists already; remove it or choose another name"),
        ("no video", "is not a readable video"),
        ("no file", "no such file"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line_and_leaves_no_file(
    lecture: redis.Redis, redis_url: str, tmp_path: Path, change: str, said: str
) -> None:
    size = (360, 360) if change == "square" else SIZE
    seconds = {"long": 20, "short": 2}.get(change, SECONDS)
    recording = film(tmp_path / "l.mp4", pictures=5 * seconds, fps=5, size=size)
    made = tmp_path / ("o.gif" if change == "suffix" else "o.mp4")
    if change == "class only":
        lecture.hset(LectureKeys("l").info, "class_only", 1)
    if change == "several":
        lecture.hset(LectureKeys("l").info, "source", "p01=a.mp4, p02=b.mp4")
    if change == "exists":
        made.write_text("mine")
    if change == "no video":
        recording.write_text("no video")
    if change == "no file":
        recording.unlink()
    there = sorted(tmp_path.iterdir())
    code, out, err = called("overlay", recording, "l", "-o", made, "--redis", redis_url)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert said in err
    assert sorted(tmp_path.iterdir()) == there


def test_a_lecture_without_people_and_an_unknown_one_are_refused(
    client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    begin(client, "empty")
    commit(client, "empty", [class_("empty", 0, 0)])
    end(client, "empty")
    recording = film(tmp_path / "l.mp4", pictures=5)
    for lecture, said in (("empty", "nobody was seen"), ("none", "there is no lecture")):
        code, _, err = called("overlay", recording, lecture, "-o", tmp_path / "o.mp4", "--redis", redis_url)
        assert code == 2
        assert said in err


def test_a_damaged_recording_is_drawn_to_its_end_and_the_missing_part_is_named(
    lecture: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    whole = film(tmp_path / "l.mp4", pictures=40, fps=5, size=SIZE, noise=60)
    recording = cut(copied(whole, tmp_path / "l.mkv", lambda packet: None), 0.7)
    code, _, err = called("overlay", recording, "l", "-o", tmp_path / "o.mp4", "--redis", redis_url)
    assert (code, len(err.splitlines())) == (1, 1)
    assert "the recording was cut off" in err
    assert 20 <= len(pictures(tmp_path / "o.mp4")) < 40


def test_the_sound_of_joined_recordings_is_joined(lecture: redis.Redis, redis_url: str, tmp_path: Path) -> None:
    half = film(tmp_path / "half.ts", pictures=20, fps=5, size=SIZE, sound_s=4)
    joined, made = tmp_path / "joined.ts", tmp_path / "o.mp4"
    joined.write_bytes(half.read_bytes() * 2)  # its clock restarts
    lecture.hset(LectureKeys("l").info, "expected", SECONDS)  # 4 s at 2 frames per second, as the file declares
    assert called("overlay", joined, "l", "-o", made, "--redis", redis_url) == (0, "", "")
    with av.open(str(half)) as before, av.open(str(made)) as after:
        sound, twice = ([each for each in container.demux(audio=0) if each.size] for container in (before, after))
        assert len(twice) == 2 * len(sound)
        assert 7.5 < twice[-1].dts * twice[-1].time_base < 8.5


def test_sound_that_is_missing_for_long_is_missing_in_the_film_too(
    lecture: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    whole = film(tmp_path / "l.mp4", pictures=80, fps=5, size=SIZE, sound_s=16)
    recording, made = tmp_path / "l.ts", tmp_path / "o.mp4"
    copied(whole, recording, lambda each: each.stream.type == "video" or not 2 < each.dts * each.time_base < 14)
    lecture.hset(LectureKeys("l").info, "expected", 32)  # 16 s at 2 frames per second
    assert called("overlay", recording, "l", "-o", made, "--redis", redis_url) == (0, "", "")
    with av.open(str(made)) as after:
        times = [float(each.dts * each.time_base) for each in after.demux(audio=0) if each.size]
    assert 15.5 < times[-1] < 16.5
    assert not [each for each in times if 2.5 < each < 13.5]


def test_a_box_stays_until_the_next_frame_and_no_longer() -> None:
    sightings = Sightings([event for frame in events() for event in frame], None, 2.0)
    assert sightings.participants == {"p01", "p02"}
    assert [len(sightings.at(t)) for t in (0.0, 2.6, 2.99, 3.1, 7.9, 8.2)] == [2, 2, 2, 1, 1, 0]
    assert sightings.at(1.25)[0].box == (80, 120, 60, 80)
    assert [each.label for each in sightings.at(0.2)] == ["p01 happiness 88%", "p02 not readable: dark"]


def test_several_recordings_are_known_by_their_source() -> None:
    assert several_recordings("ann=a.mp4, bob=b.mp4", ["ann", "bob"])
    assert not several_recordings("p01=a, p02=b.mp4", ["p01", "p02", "p03"])
    assert not several_recordings("ann=a.mp4", ["ann"])
    assert not several_recordings("a lecture, part 2.mp4", ["p01"])
