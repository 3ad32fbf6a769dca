"""Slides are told apart from all else that changes in a picture: real pictures and descriptors, without a detector."""

import cv2
import numpy as np
import pytest

from tests.gallery import Picture, portraits
from tests.slide_lectures import SlideLecture, faces_only, lecturer_page, slide_lecture
from worker.contract.messages import ClassEvent, FrameStamp, SlideEvent
from worker.folding.fold import LectureState, fold
from worker.folding.slides import NewSlide, SlideState, advance_slides
from worker.outcome import FrameObservation, Outcome
from worker.perception.slides import slide_descriptor

FACES = [[portraits()[n % 2][:, :: 1 if n < 2 else -1].copy()] for n in range(4)]


def box_in(tile: tuple[int, int, int, int]) -> tuple[float, float, float, float]:
    """Where BlazeFace finds the face of a portrait in a tile."""
    x, y, w, h = tile
    return x + w / 2 - 0.22 * h, y + 0.25 * h, 0.44 * h, 0.44 * h


def descriptors(lecture: SlideLecture, fps: float) -> list[tuple[float, bytes]]:
    found = []
    for n in range(round(lecture.seconds * fps)):
        t = n / fps
        _, layout, who = [each for each in lecture.seatings if each[0] <= t][-1]
        faces = [box_in(tile) for tile in layout.tiles[: len(who)]]
        found.append((t, slide_descriptor(as_jpeg(lecture.picture(t)), faces)))
    return found


def as_jpeg(picture: Picture) -> Picture:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", picture)[1], cv2.IMREAD_COLOR), np.uint8)


def slides_in(frames: list[tuple[float, bytes]]) -> list[NewSlide]:
    state: SlideState | None = None
    slides = []
    for number, (t, descriptor) in enumerate(frames):
        state, new = advance_slides(state, descriptor, number, t)
        slides += new
    return slides


@pytest.mark.parametrize(("seed", "fps", "stay"), [(0, 2.0, 8.0), (1, 2.0, 6.0), (3, 0.2, 60.0), (9, 5.0, 4.0)])
def test_new_slides_are_found_within_one_sampling_step(seed: int, fps: float, stay: float) -> None:
    lecture = slide_lecture(seed, FACES, slides=8, stay=(stay, 1.5 * stay))
    slides = slides_in(descriptors(lecture, fps))
    assert [each.number for each in slides] == list(range(1, len(slides) + 1))
    latest = 1 / fps + lecture.fade
    found = [t for t in lecture.changes if any(0 <= each.t - t <= latest for each in slides)]
    assert len(found) >= len(lecture.changes) - 1
    assert len(slides) - 1 <= len(lecture.changes), "a false change"


def test_a_gallery_without_slides_and_a_lecturer_before_a_wall_have_none() -> None:
    gallery = faces_only(1, FACES, seconds=60.0)
    assert len(gallery.seatings) > 1, "it is laid out again"
    assert slides_in(descriptors(gallery, 2.0)) == []
    frames = []
    for n in range(100):
        picture, (x, y, w, h) = lecturer_page(FACES[0][0], n / 2, seed=1)
        seen = n % 30 < 22  # then the lecturer turns to the wall
        frames.append((n / 2, slide_descriptor(as_jpeg(picture), [box_in((x, y, w, h))] if seen else [])))
    assert slides_in(frames) == []


def test_bullets_a_cursor_and_a_moving_picture_are_no_new_slide() -> None:
    lecture = slide_lecture(3, FACES, slides=2, stay=(20.0, 21.0))
    film = slide_lecture(8, FACES, slides=2, stay=(20.0, 21.0)).slides
    for slides in (lecture.slides, film):
        for slide in slides:
            slide.moving = (640, 160, 560, 420)
            one = SlideLecture(3, 20.0, FACES, lecture.seatings[:1], [0.0], [slide])
            assert slides_in(descriptors(one, 2.0)) == []


def test_slides_are_published_with_class_only_and_not_of_recordings_of_single_people() -> None:
    frames = descriptors(slide_lecture(1, FACES, slides=3, stay=(5.0, 6.0)), 2.0)
    seen = [FrameObservation(FrameStamp(n, t), [], slide) for n, (t, slide) in enumerate(frames)]
    outcomes = [Outcome(seen[n : n + 8]) for n in range(0, len(seen), 8)]
    folded = fold("l", LectureState(class_only=True), outcomes, [len(each.frames) for each in outcomes])
    slides = [event for event in folded.class_channel if isinstance(event, SlideEvent)]
    assert [event.slide for event in slides] == [1, 2, 3]
    assert sum(isinstance(event, ClassEvent) for event in folded.class_channel) == folded.published == len(frames)
    for name in ("alice", "bob"):
        apart = [Outcome([FrameObservation(FrameStamp(0, 0.0, name), [])])]
        assert fold("l", LectureState(), apart, [1]).state.slides is None


def test_the_state_is_carried_in_any_chunks_to_the_same_slides() -> None:
    frames = descriptors(slide_lecture(1, FACES, slides=3, stay=(5.0, 6.0)), 2.0)
    seen = [FrameObservation(FrameStamp(n, t), [], slide) for n, (t, slide) in enumerate(frames)]
    whole = fold("l", LectureState(), [Outcome(seen)], [len(seen)])
    state, channel = LectureState(), []
    for each in seen:
        folded = fold("l", state, [Outcome([each])], [1])
        state = folded.state
        channel += folded.class_channel
    assert channel == whole.class_channel
