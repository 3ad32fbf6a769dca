"""Sizes beyond a limit are refused in one line with the limit, by producer and worker."""

import threading
import zlib
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import redis

from producer.feeding.decoding import container
from producer.feeding.decoding.container import Unreadable, open_file, video_in
from producer.feeding.decoding.wire import StreamTarget
from producer.feeding.feed import Feed
from producer.feeding.sources import recording
from producer.feeding.sources.address import SourceError, address_of
from producer.feeding.sources.opening import open_source
from producer.feeding.starting import NewLecture, TooManyLectures
from tests.producer.feeding.films import film
from tests.streams import served_folder
from tests.worker.outcomes import SAD
from worker import commit
from worker.contract.keys import RUNNING, LectureKeys
from worker.contract.limits import (
    MAX_CHUNK_BYTES,
    MAX_FRAME_PIXELS,
    MAX_RECORDING_BYTES,
    MAX_RUNNING_LECTURES,
    LimitExceeded,
)
from worker.contract.messages import Chunk, ChunkHead, Ending, FrameStamp, Ledger
from worker.folding import participants
from worker.folding.fold import LectureState, fold
from worker.folding.participants import TrackerState, advance
from worker.outcome import DESCRIPTOR_BYTES, FaceObservation, FrameObservation, Outcome
from worker.perception import perception
from worker.perception.faces import Detection

NEVER = threading.Event()


def test_a_source_of_too_many_pixels_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path / "a.mp4", size=(320, 240))
    monkeypatch.setattr(container, "MAX_FRAME_PIXELS", 320 * 240 - 1)
    with path.open("rb") as file, pytest.raises(Unreadable, match=r"has 320x240 pixels; the limit is 76799 .*scale it"):
        video_in(open_file(file))
    huge = tmp_path / "huge.png"
    huge.write_bytes(claiming(20_000, 20_000))
    with pytest.raises(SourceError, match=r"contains no picture that can be decoded|has 20000x20000 pixels"):
        open_source(str(huge), 2)


def claiming(width: int, height: int) -> bytes:
    """A PNG whose header claims this size."""
    data = bytearray(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


def test_pictures_that_grow_beyond_the_limit_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = film(tmp_path / "s.ts", size=(64, 64)), film(tmp_path / "l.ts", size=(640, 480))
    path = tmp_path / "grows.ts"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    monkeypatch.setattr(container, "MAX_FRAME_PIXELS", 320 * 240)
    sizes = set()
    with path.open("rb") as file, open_file(file) as opened:
        stream = video_in(opened)
        for packet in opened.demux(stream):
            try:
                sizes |= {(frame.width, frame.height) for frame in packet.decode()}
            except av.FFmpegError:
                continue
    assert sizes == {(64, 64)}


def test_a_recording_that_is_too_long_or_has_a_wrong_time_stamp_is_refused(tmp_path: Path) -> None:
    long = film(tmp_path / "a.mkv", times_ms=[0, 500, 25 * 3600 * 1000])
    with pytest.raises(SourceError, match=r"is 25:00:00 long; the limit of a recording is 24:00:00; cut it"):
        open_source(str(long), 2)
    path = tmp_path / "centuries.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for pts in (0, 1, 2, 40 * 10**9):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "bgr24")
            frame.pts, frame.time_base = pts, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    with pytest.raises(SourceError, match=r"the limit of a recording is 24:00:00; cut it"):
        open_source(str(path), 0.01)


def test_a_recording_that_is_longer_than_it_claims_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MAX_RECORDING_S", 1.0)
    with open_source(str(film(tmp_path / "a.mp4")), 5) as opened:
        assert len(list(opened.frames(NEVER))) == 6
        assert opened.shortfall == "is longer than 0:00:01, the limit of a recording"


def test_a_file_of_too_many_bytes_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "a.mp4")
    monkeypatch.setattr(container, "MAX_RECORDING_BYTES", 1000)
    with served_folder(tmp_path) as url:
        target = address_of(f"{url}/a.mp4").target
        assert isinstance(target, StreamTarget)
        with pytest.raises(Unreadable, match=r"has \d+ bytes; the limit is 1000; cut it"):
            container.is_recording(container.open_stream(target))
    with path.open("r+b") as file:
        file.truncate(MAX_RECORDING_BYTES + 1)  # a sparse file, which takes no room
    with pytest.raises(SourceError, match=f"has {MAX_RECORDING_BYTES + 1} bytes; the limit is"):
        address_of(str(path))


def head(frames: int = 1, width: int = 640, height: int = 360) -> ChunkHead:
    return ChunkHead([FrameStamp(n, n / 2) for n in range(frames)], width, height)


def test_a_chunk_of_too_many_bytes_or_pixels_is_neither_fed_nor_read(client: redis.Redis) -> None:
    feed = Feed.start(client, NewLecture("l", "a.mp4", 2, 640, 360))
    before = set(client.scan_iter())
    for chunk in (Chunk(head(2), [bytes(MAX_CHUNK_BYTES), b"x"]), Chunk(head(width=8193, height=8192), [b"x"])):
        with pytest.raises(LimitExceeded, match=r"no chunk may have more than|no frame may have more than"):
            feed.push(chunk)
        with pytest.raises(LimitExceeded):
            Chunk.from_hash({name.encode(): value for name, value in chunk.to_hash().items()})
    assert set(client.scan_iter()) == before
    assert MAX_FRAME_PIXELS == 8192 * 8192


def test_of_a_crowd_the_faces_with_the_highest_scores_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = [Detection((n, 0, 1, 1), n / 300, ()) for n in range(300)]
    assert [face.box[0] for face in perception._in_reading_order(crowd)] == list(range(50, 300))


def people_at(frame: int, xs: Iterable[float]) -> FrameObservation:
    """A frame of people side by side, with different descriptors and a high detection score."""
    faces = [
        FaceObservation((x, 0.0, 10.0, 10.0), 0.99, SAD, {}, bytes([int(x / 50) % 128]) * DESCRIPTOR_BYTES) for x in xs
    ]
    return FrameObservation(FrameStamp(frame, frame / 2), faces)


def test_beyond_the_limit_of_participants_nothing_is_published_and_the_lecture_gives_the_reason(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(participants, "MAX_PARTICIPANTS", 3)
    monkeypatch.setattr(commit, "MAX_PARTICIPANTS", 3)
    state = TrackerState()
    for frame in range(40):
        state, found = advance(state, people_at(frame, [500.0 * n for n in range(5)]))
        assert {one.participant for one in found} == {"p01", "p02", "p03"}
    assert sum(len(track.waiting) for track in state.tracks) <= 2, "sightings that are never published are not kept"
    outcomes = [Outcome([people_at(0, [0.0, 500.0, 1000.0, 1500.0])]), Outcome(ending=Ending("done"))]
    folded = fold("l", LectureState(), outcomes, [1, 0])
    assert list(folded.state.spans) == ["p01", "p02", "p03"]
    keys = LectureKeys("l")
    with client.pipeline() as pipe:
        commit._end(pipe, keys, Ending("done"), folded.state, Ledger(), 0.0)
        pipe.execute()
    assert client.hget(keys.info, "status") == b"done"
    assert b"the limit of 3 participants was reached" in (client.hget(keys.info, "reason") or b"")


def test_no_more_lectures_begin_than_a_redis_is_for(client: redis.Redis) -> None:
    client.sadd(RUNNING, *range(MAX_RUNNING_LECTURES))
    with pytest.raises(TooManyLectures, match="1000 lectures are running on this Redis, which is the limit; wait"):
        Feed.start(client, NewLecture("l", "a.mp4", 2, 640, 360))
    client.spop(RUNNING)
    Feed.start(client, NewLecture("l", "a.mp4", 2, 640, 360))
    assert client.exists("lecture:{l}")
