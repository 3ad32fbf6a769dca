"""Privacy: no pixels are kept, nothing after `forget` or the retention time, nothing per person with --class-only."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from producer.commands.arguments import days as parsed_days
from producer.embedded.folder import data_folder, erase_from_logs
from producer.embedded.server import private_redis
from producer.feeding.feed import Feed
from producer.feeding.starting import NewLecture
from producer.reading.lectures import forget
from tests.gallery import gallery_pages, render_gallery
from tests.lectures import chunks_of, feed_lecture
from tests.processes import called, json_lines, ran
from tests.producer.committing import FACE, work_on
from tests.security.contents import contents
from tests.security.test_strangers import work
from tests.worker.outcomes import SAD
from worker.contract.connection import connect
from worker.contract.keys import LectureKeys
from worker.contract.lifetimes import FRAMES_TTL_S
from worker.contract.messages import FrameStamp, LectureChoices
from worker.contract.queue import frame_queue
from worker.folding.participants import TrackerState, advance
from worker.outcome import DESCRIPTOR_BYTES, FaceObservation, FrameObservation

NAME = "Geheimnis-7"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's data folder with two lectures, the second with --class-only."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(home))
        patch.delenv("REDIS_URL", raising=False)
        video = home / f"{NAME}.mp4"
        render_gallery(video, people=2, seconds=2, size=(640, 360))
        assert ran("ingest", video, "--workers", 1)[0] == 0
        video = video.rename(home / "other.mp4")
        words = ["ingest", video, "--lecture", "class", "--class-only", "--retention", 7.5, "--json", "--workers", 1]
        code, out, _ = ran(*words)
        assert code == 0
        assert {event["type"] for event in json_lines(out)} == {"class", "end"}
        video.unlink()
        yield home


def pictures_in(data: bytes) -> list[int]:
    """The positions in `data` at which a JPEG or PNG begins that can be decoded."""
    found = []
    for magic in (b"\xff\xd8\xff", b"\x89PNG\r\n"):
        at = data.find(magic)
        while at >= 0:
            if cv2.imdecode(np.frombuffer(data[at : at + 2**20], np.uint8), cv2.IMREAD_COLOR) is not None:
                found.append(at)
            at = data.find(magic, at + 1)
    return found


def holding(folder: Path, word: bytes) -> list[str]:
    """The files with `word` in their name or content."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in files if word in path.read_bytes() or word in os.fsencode(path.name)]


def test_after_the_end_there_is_no_picture_in_redis_or_on_disk(home: Path) -> None:
    picture = cv2.imencode(".jpg", np.zeros((90, 160, 3), np.uint8))[1].tobytes()
    assert pictures_in(b"some" + picture + b"thing") == [4], "the search finds a picture"
    with private_redis() as url, connect(url) as client:
        kept = contents(client)
    assert f"lecture:{{{NAME}}}:participant:p01".encode() in kept
    assert {key: pictures_in(value) for key, value in kept.items() if pictures_in(value)} == {}
    for file in home.rglob("*"):
        assert not file.is_file() or pictures_in(file.read_bytes()) == [], file


def test_pixels_in_flight_have_a_time_to_live(client: redis.Redis) -> None:
    feed = Feed.start(client, NewLecture("l", "a.mp4", 2, 640, 360))
    feed.push(chunks_of(list(gallery_pages(1, 1)), 1)[0])
    with_pixels = [key for key, value in contents(client).items() if pictures_in(value)]
    assert with_pixels == [b"lecture:{l}:chunk:0"]
    assert 0 < client.ttl("lecture:{l}:chunk:0") <= FRAMES_TTL_S


def test_with_class_only_nothing_is_kept_about_a_person(home: Path, tmp_path: Path) -> None:
    with private_redis() as url, connect(url) as client:
        keys = sorted(client.scan_iter("lecture:{class}*"))
        whole = b"".join(contents(client)[key] for key in keys)
        assert keys == [b"lecture:{class}", b"lecture:{class}:class"]
        assert client.hget("lecture:{class}", "retention") == b"648000"
        assert {648000 - 600 < client.ttl(key) <= 648000 for key in keys} == {True}
    assert b"p01" not in whole
    code, out, _ = called("watch", "class", "--from-start")
    assert code == 0
    assert out.splitlines()[0].startswith("0:00:00  2 faces  ")
    assert called("export", "class", "-o", tmp_path / "class.csv")[0] == 0
    assert "participant" not in (tmp_path / "class.csv").read_text()
    assert called("export", "class", "-o", tmp_path / "class.jsonl")[0] == 0
    assert "participant" not in (tmp_path / "class.jsonl").read_text()


def test_a_forgotten_lecture_is_in_no_key_and_no_file(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = shutil.copytree(home, tmp_path / "copy")  # for the other tests the lecture stays
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    folder = data_folder()
    with (folder / "worker.log").open("a") as log:
        log.write(f"a line about {NAME} and\none about {NAME}-2, which is another\nchunk of {NAME}-17 failed\n")
    (folder / "temp-4711.rdb").write_text(f"what a killed server left of {NAME}")
    assert holding(home, NAME.encode())
    assert called("forget", NAME)[0] == 0
    with private_redis() as url, connect(url) as client:
        assert [key for key in contents(client) if NAME.encode() in key] == []
        assert client.exists("lecture:{class}")
    (folder / "worker.log").write_bytes((folder / "worker.log").read_bytes().replace(f"{NAME}-2".encode(), b""))
    assert holding(home, NAME.encode()) == []


def test_forgetting_removes_failed_and_waiting_jobs_from_the_queue(client: redis.Redis) -> None:
    kept = feed_lecture(client, "l-1", chunks_of(list(gallery_pages(1, 1)), 1))
    others = {key for key in client.scan_iter() if b"l-1" in key}
    keys = feed_lecture(client, "l", chunks_of(list(gallery_pages(1, 2)), 1))
    frame_queue(client).remove("l-1-0")  # it stays in flight; this test does not wait for it
    frame_queue(client).remove("l-1-1")
    client.hset(keys.chunk(0), "head", "no head")
    client.hset(keys.chunk(1), "head", "no head")
    work(client, 7)  # each three times, and the ending
    assert client.zcard("rq:failed:frames") == 2
    client.lpush("rq:queue:frames:intermediate", "l-2")
    forget(client, "l")
    assert [key for key in client.scan_iter() if b"{l}" in key or b":l-0" in key or b":l-2" in key] == []
    assert not any(b"lecture l," in value for value in contents(client).values())
    assert {key for key in client.scan_iter() if b"l-1" in key} == others
    assert client.zcard("rq:failed:frames") == client.llen("rq:queue:frames:intermediate") == 0
    assert client.exists(kept.info)


def test_results_expire_after_the_retention_time(client: redis.Redis) -> None:
    feed = Feed.start(client, NewLecture("l", "a.mp4", 2, 640, 360, LectureChoices(retention=1000)))
    for chunk in chunks_of(list(gallery_pages(1, 2)), 1)[:-1]:
        feed.push(chunk)
        work_on(client, LectureKeys("l"))
    keys = [key for key in client.scan_iter("lecture:{l}*") if b"chunk" not in key and b"feeder" not in key]
    assert {key: 0 < client.ttl(key) <= 1000 for key in keys} == dict.fromkeys(keys, True)
    feed.finish("done")
    work_on(client, LectureKeys("l"))
    kept = {b"lecture:{l}", b"lecture:{l}:participants", b"lecture:{l}:participant:p01", b"lecture:{l}:class"}
    assert {key: 0 < client.ttl(key) <= 1000 for key in client.scan_iter("lecture:{l}*")} == dict.fromkeys(kept, True)


def test_an_invalid_retention_time_is_refused() -> None:
    for days in ("0", "0.5", "-1", "3651", "nan", "inf", "a month"):
        with pytest.raises(ValueError, match=f"'{days}' is not a number"):
            parsed_days(days)


def test_lines_are_removed_from_a_log_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    path = data_folder() / "worker.log"
    with path.open("ab", buffering=0) as log:
        log.write(b"first\nof l\nof l-3\nof all\n")
        erase_from_logs("l")
        log.write(b"last\n")
    assert path.read_bytes() == b"first\nof all\nlast\n"


def frame_of(descriptors: list[bytes]) -> FrameObservation:
    faces = [
        FaceObservation((200.0 * n, 0.0, 90.0, 90.0), 0.99, SAD, {}, descriptor)
        for n, descriptor in enumerate(descriptors)
    ]
    return FrameObservation(FrameStamp(0, 0.0), faces)


@given(st.lists(st.binary(min_size=DESCRIPTOR_BYTES, max_size=DESCRIPTOR_BYTES), min_size=1, max_size=5))
def test_a_pseudonym_depends_on_the_order_of_sighting_and_not_on_the_appearance(descriptors: list[bytes]) -> None:
    _, sightings = advance(TrackerState(), frame_of(descriptors))
    assert [one.participant for one in sightings] == [f"p{n + 1:02d}" for n in range(len(descriptors))]


def test_no_event_and_no_span_contains_an_appearance_descriptor(client: redis.Redis) -> None:
    feed = Feed.start(client, NewLecture("l", "a.mp4", 2, 640, 360))
    feed.push(chunks_of(list(gallery_pages(1, 1)), 1)[0])
    work_on(client, LectureKeys("l"))
    assert FACE.appearance == bytes(DESCRIPTOR_BYTES)
    published = [value for key, value in contents(client).items() if not key.endswith((b":state", b":0"))]
    assert not any(b"AAAAAAAA" in value for value in published), "zeros in base64"
