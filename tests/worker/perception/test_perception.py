"""Perception of a chunk with the shipped models."""

import numpy as np
import pytest

from tests.gallery import gallery_pages
from worker.contract.messages import FrameStamp
from worker.perception.emotions import Ensemble, Predictions
from worker.perception.manifest import MODELS
from worker.perception.perception import Perception
from worker.perception.preprocessing import Image

SIZE = (1280, 720)


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception(MODELS)


def test_unchanged_faces_are_read_once_and_are_in_every_frame(
    perception: Perception, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = list(gallery_pages(4, 2, fps=1))
    half_still = pages[0].copy()
    half_still[:, 640:] = np.roll(pages[0][:, 640:], 8, axis=1)
    asked: list[int] = []
    predict = Ensemble.predict

    def counted(ensemble: Ensemble, crops: list[Image], before: list[int]) -> Predictions:
        asked.append(len(crops))
        return predict(ensemble, crops, before)

    monkeypatch.setattr(Ensemble, "predict", counted)
    alone = perception.observe_pictures([FrameStamp(0, 0.0)], [pages[0]], SIZE)
    stamps = [FrameStamp(n, n / 2) for n in range(4)]
    seen = perception.observe_pictures(stamps, [pages[0], pages[0], half_still, half_still], SIZE)
    assert asked == [4, 6]
    assert sum(len(frame.faces) for frame in seen.frames) == 16
    assert [frame.stamp for frame in seen.frames] == stamps
    assert seen.frames[0].faces == seen.frames[1].faces == alone.frames[0].faces
    assert seen.frames[2].faces == seen.frames[3].faces
    still = [face for face in seen.frames[2].faces if face.box[0] < 640]
    assert still == [face for face in alone.frames[0].faces if face.box[0] < 640]


def test_recordings_of_one_chunk_do_not_take_over_from_each_other(perception: Perception) -> None:
    page = next(gallery_pages(1, 1))
    stamps = [FrameStamp(0, 0.0, "alice", SIZE), FrameStamp(0, 0.0, "bob", SIZE), FrameStamp(1, 0.5, "alice", SIZE)]
    seen = perception.observe_pictures(stamps, [page, page[:, ::-1].copy(), page], SIZE)
    assert [len(frame.faces) for frame in seen.frames] == [1, 1, 1]
    assert seen.frames[0].faces == seen.frames[2].faces
    assert seen.frames[1].faces != seen.frames[0].faces
