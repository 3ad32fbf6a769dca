"""The boxes that a report has for the recording beside it: all of them, or thinned evenly where they are too many."""

import base64
import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from producer.reading.analysis.boxes import Boxes, BoxesBuilder
from producer.reading.lectures import Lecture
from producer.reading.report.recording_data import recording_data
from tests.producer.reading.writing import emotion
from worker.contract.lecture_hash import LectureInfo
from worker.contract.messages import Ledger


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 300)), unique=True, max_size=200), st.integers(1, 50))
def test_boxes_are_kept_or_thinned_to_every_second_frame_and_so_on(seen: list[tuple[int, int]], limit: int) -> None:
    builder = BoxesBuilder(limit)
    for person, frame in sorted(seen, key=lambda each: each[1]):
        builder.add(structs.replace(emotion("l", f"p{person}", frame), box=(frame, person, 10, 20)))
    boxes = builder.boxes()
    kept = {(int(each[1]), int(each[0])) for person in boxes.boxes for each in person}
    assert kept == {(person, frame) for person, frame in seen if frame % boxes.every == 0}
    assert len(kept) <= limit or boxes.every > 300
    assert boxes.every == 1 or len({each for each in seen if each[1] % (boxes.every // 2) == 0}) > limit
    assert boxes.participants == sorted(boxes.participants, key=lambda each: int(each[1:]))
    assert all((np.diff(times) > 0).all() for times in boxes.times)


def test_an_hour_of_25_people_takes_little_room_and_is_as_exact_as_a_screen() -> None:
    random = np.random.default_rng(1)
    times = [np.arange(3600.0)] * 25
    places = [random.integers(0, 1000, 4) + random.integers(-3, 4, (3600, 4)) for _ in times]
    boxes = Boxes([f"p{n}" for n in range(25)], 1, times, places)
    lecture = Lecture("l", LectureInfo("a.mp4", "done", 1, 1920, 1080, 0), Ledger(), 25, False, 0)
    packed = recording_data(lecture, 3600.0, boxes, {})["boxes"]
    assert len(packed["packed"]) < 400_000
    raw = zlib.decompress(base64.b64decode(packed["packed"]))
    assert np.cumsum(np.frombuffer(raw, "<i4", 3600))[-1] == 3_599_000
    first = np.cumsum(np.frombuffer(raw, "<i2", 3600, 4 * 25 * 3600)) * packed["unit"]
    assert np.abs(first - places[0][:, 0]).max() <= 1920 / 1024 / 2
