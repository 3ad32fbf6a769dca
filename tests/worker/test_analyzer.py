"""The worker's face for programs: arrays in, typed values out."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import numpy as np
import pytest

import producer
import worker
from tests.gallery import Picture, gallery_pages, tiles
from tests.processes import called
from worker import Analyzer
from worker.contract.messages import EMOTIONS, ClassEvent, EmotionEvent
from worker.perception.manifest import ManifestError

PAGES = [np.ascontiguousarray(page[:, :, ::-1]) for page in gallery_pages(4, 6, fps=2)]
"""Four people, [720, 1280, 3] RGB."""


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer()


def test_the_faces_of_a_picture_are_one_in_each_tile_in_reading_order(analyzer: Analyzer) -> None:
    faces = analyzer.faces(PAGES[0])
    assert [tile.holds(face.box) for tile, face in zip(tiles(4, 1280, 720), faces, strict=True)] == [True] * 4
    for face in faces:
        assert face.readable
        assert face.scores is not None
        assert list(face.scores) == list(EMOTIONS)
        assert sum(face.scores.values()) == pytest.approx(1, abs=1e-4)
        assert face.emotion == max(face.scores, key=face.scores.__getitem__)
        assert face.pose is not None
    assert analyzer.faces(np.zeros((90, 160, 3), np.uint8)) == []


def test_a_face_that_cannot_be_read_says_why(analyzer: Analyzer) -> None:
    (face,) = analyzer.faces(np.ascontiguousarray(next(gallery_pages(1, 1, size=(128, 72)))[:, :, ::-1]))
    assert (face.readable, face.emotion, face.scores, face.valence, face.reason) == (False, None, None, None, "small")


def test_an_iterator_of_frames_gives_the_events_of_a_lecture_for_every_batch(analyzer: Analyzer) -> None:
    def read(batch: int) -> list[Any]:
        return list(analyzer.events(((n / 2, page) for n, page in enumerate(PAGES)), "l", batch))

    events = read(1)
    emotions = [event for event in events if isinstance(event, EmotionEvent)]
    assert {event.participant for event in emotions} == {"p01", "p02", "p03", "p04"}
    assert [event.t for event in events if isinstance(event, ClassEvent)] == [0, 0.5, 1, 1.5, 2, 2.5]
    assert [(type(each), each.frame) for each in read(4)] == [(type(each), each.frame) for each in events]


def test_a_camera_s_events_come_before_its_next_frame_is_asked_for(analyzer: Analyzer) -> None:
    endless = ((float(n), PAGES[n % 6]) for n in count())
    assert next(analyzer.events(endless, batch=1)).frame == 0
    assert next(endless)[0] == 1


def test_what_is_no_picture_and_no_time_is_named(analyzer: Analyzer) -> None:
    wrong: list[tuple[Any, str]] = [
        (PAGES[0].astype(float), r"a picture is float64 \(720, 1280, 3\); give an array of uint8"),
        (PAGES[0][:, :, 0], r"a picture is uint8 \(720, 1280\)"),
        ("lecture.mp4", "a picture is str"),
        (np.zeros((1, 400, 3), np.uint8), "a picture has 400x1 pixels; give one with at most"),
        (np.zeros((0, 0, 3), np.uint8), "a picture has 0x0 pixels"),
    ]
    for picture, message in wrong:
        with pytest.raises(ValueError, match=message):
            analyzer.faces(picture)
    twice: list[tuple[float, Picture]] = [(1.0, PAGES[0]), (1.0, PAGES[1])]
    with pytest.raises(ValueError, match="frame 1 has the time 1 s; the one before has 1 s"):
        list(analyzer.events(twice))
    with pytest.raises(ValueError, match=r"frame 0 has the time -0\.5 s; give times that rise"):
        list(analyzer.events([(-0.5, PAGES[0])]))
    with pytest.raises(ValueError, match="batch is 0; give a number of frames from 1 to"):
        analyzer.events(twice, batch=0)
    with pytest.raises(ValueError, match=r"batch is 1\.5; give a number of frames"):
        analyzer.events(twice, batch=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="lecture id 'a b' is not"):
        analyzer.events(twice, "a b")
    with pytest.raises(ValueError, match="ensemble is 'fast'; give one of full, adaptive"):
        Analyzer(ensemble="fast")  # type: ignore[arg-type]
    with pytest.raises(ManifestError, match="/nowhere"):
        Analyzer("/nowhere")


def test_threads_may_share_an_analyzer(analyzer: Analyzer) -> None:
    alone = analyzer.faces(PAGES[0])
    with ThreadPoolExecutor(4) as threads:
        together = [*threads.map(analyzer.faces, [PAGES[0]] * 8)]
    assert together == [alone] * 8


def test_the_public_names_are_these_and_importing_them_is_cheap() -> None:
    assert worker.__all__ == ["Analyzer", "Face", "__version__"]
    assert producer.__all__ == ["__version__", "follow", "lectures"]
    for package in (worker, producer):
        assert all(hasattr(package, name) for name in package.__all__)
        assert dir(package) == sorted(package.__all__), "editors suggest what is public"
    assert called("--version")[1].split() == ["producer", producer.__version__]
    code = "import producer, worker, sys; print('numpy' in sys.modules, 'redis' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False False\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = worker.nothing
