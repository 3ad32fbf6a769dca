"""A timeline holds the values of the events, in few steps for a lecture of any length."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from scipy import stats

from producer.reading.analysis.timeline import NOT_READ
from producer.reading.analysis.timeline_builder import MAX_BINS, TimelineBuilder
from tests.producer.reading.scripted import mean_valence, scores_of, scripted_timeline
from tests.producer.reading.writing import class_, emotion
from worker.contract.messages import EMOTIONS, EndEvent, Ledger

HAPPINESS = EMOTIONS.index("happiness")


def test_a_step_holds_the_mean_over_all_faces_of_its_frames() -> None:
    seen = scripted_timeline(3, 4, lambda person, frame: "happiness" if person == 0 or frame == 3 else "neutral")
    assert (seen.bins, seen.bin_s, seen.seconds) == (2, 1.0, 2.0)
    assert seen.faces.tolist() == [3, 3]
    assert seen.frames.tolist() == [2, 2]
    happy, calm = scores_of("happiness")["happiness"], scores_of("neutral")["happiness"]
    assert seen.scores[:, HAPPINESS] == pytest.approx([(happy + 2 * calm) / 3, (4 * happy + 2 * calm) / 6])
    assert seen.scores.sum(axis=1) == pytest.approx([1, 1])
    assert seen.valence[1] == pytest.approx((4 * valence("happiness") + 2 * valence("neutral")) / 6)


def test_the_margin_is_students_interval_of_the_participants_means() -> None:
    shown = ["happiness", "neutral", "anger", "sadness"]
    seen = scripted_timeline(4, 2, lambda person, frame: shown[person] if frame == 0 or person else None)
    each = [valence(emotion) for emotion in shown]
    low, high = stats.t.interval(0.95, 3, np.mean(each), stats.sem(each))
    assert seen.margins[0, 0] == pytest.approx((high - low) / 2)
    assert seen.margins[0, 1] == pytest.approx(0, abs=1e-9)
    assert np.isnan(scripted_timeline(2, 2, lambda person, frame: "fear").margins).all(), "two are too few"


def test_a_strip_has_the_emotion_displayed_most_and_gaps_where_not_seen() -> None:
    seen = scripted_timeline(1, 8, lambda _, frame: {0: "anger", 1: "anger", 4: "fear", 5: "fear"}.get(frame))
    (person,) = seen.participants
    assert person.shown.tolist() == [EMOTIONS.index("anger"), -1, EMOTIONS.index("fear"), -1]
    assert person.strength.tolist() == pytest.approx([0.88, 0, 0.88, 0])


def test_faces_that_cannot_be_read_count_as_seen_but_have_no_part_in_the_means() -> None:
    def shows(person: int, frame: int) -> str:
        return "small" if person == 2 or frame >= 4 else "happiness"

    seen = scripted_timeline(3, 6, shows)
    assert seen.faces.tolist() == [3, 3, 3]
    assert seen.read.tolist() == [2, 2, 0]
    assert seen.scores[:2, HAPPINESS] == pytest.approx([0.88, 0.88])
    assert np.isnan(seen.scores[2]).all()
    assert seen.empty == 0
    assert seen.unreadable == pytest.approx(10 / 18)
    first, _, third = seen.participants
    assert first.shown.tolist() == [EMOTIONS.index("happiness")] * 2 + [NOT_READ]
    assert (first.frames, first.emotions, first.unreadable) == (6, {"happiness": 4}, {"small": 2})
    assert third.shown.tolist() == [NOT_READ] * 3
    assert (third.frames, third.gaps, third.strength.tolist()) == (6, 0, [0, 0, 0])
    assert seen.mean_scores is not None
    assert seen.mean_scores[HAPPINESS] == pytest.approx(0.88)
    assert seen.certainty.sightings == 8


def test_an_absence_of_more_than_five_seconds_is_a_gap() -> None:
    away = {*range(4, 10), *range(20, 40), *range(50, 62)}
    (person,) = scripted_timeline(1, 80, lambda _, frame: None if frame in away else "neutral").participants
    assert (person.frames, person.first, person.last) == (80 - len(away), 0.0, 39.5)
    assert person.gaps == 2
    assert person.longest_gap == (9.5, 10.5)


def test_a_step_without_frames_differs_from_one_without_faces() -> None:
    seen = scripted_timeline(1, 8, lambda _, frame: None if frame < 4 else "neutral", skipped=(6, 7, 2, 3))
    assert seen.frames.tolist() == [2, 0, 2]
    assert (seen.empty, seen.analysed) == (2, 4)
    assert seen.faces[0] == 0
    assert math.isnan(seen.faces[1])
    assert np.isnan(seen.scores[:2]).all()


def test_late_events_go_to_the_step_of_their_time_and_participants_are_in_the_order_of_their_numbers() -> None:
    builder = TimelineBuilder(2)
    for frame in range(6):
        builder.add(class_("l", frame, 1))
    for frame in range(6):
        builder.add(emotion("l", "p01", frame))
    assert builder.timeline().participants[0].sightings.tolist() == [2, 2, 2]
    for name in ("p100", "p10", "p9", "ann", "p2"):
        builder.add(emotion("l", name, 0))
    assert [each.id for each in builder.timeline().participants] == ["ann", "p01", "p2", "p9", "p10", "p100"]


def test_models_that_agree_and_disagree_are_counted() -> None:
    sure = scripted_timeline(1, 10, lambda _, frame: "neutral" if frame < 4 else "anger").certainty
    assert (sure.sightings, sure.compared, sure.unanimous) == (10, 10, 4)
    assert sure.confidence == pytest.approx(0.88)
    assert sure.agreed["mobilenetv2"] == sure.predicted["mobilenetv2"] == 10
    assert sure.agreed["resnet50v2"] == 4


def test_a_lecture_without_an_event_is_empty() -> None:
    builder = TimelineBuilder(2)
    builder.add(EndEvent("l", "done", None, Ledger()))
    seen = builder.timeline()
    assert (seen.bins, seen.seconds, seen.participants) == (0, 0.0, [])
    assert seen.mean_scores is None
    assert math.isnan(seen.mean_faces)


def test_below_one_frame_a_second_every_step_has_a_frame() -> None:
    seen = scripted_timeline(1, 50, lambda _, frame: "neutral", fps=0.3)
    assert seen.bin_s == 5.0
    assert (seen.frames > 0).all()


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 60_000), st.sampled_from(["p1", "p2"])), min_size=1, max_size=60),
    st.sampled_from([0.5, 1.0, 2.0, 3.0, 30.0]),
)
def test_a_growing_lecture_keeps_few_steps_and_every_sighting(sightings: list[tuple[int, str]], fps: float) -> None:
    builder = TimelineBuilder(fps)
    for number, (frame, name) in enumerate(sightings):
        builder.add(replace(emotion("l", name, frame), t=frame / fps))
        if number % 7 == 0:
            assert builder.timeline().bins <= MAX_BINS
    seen = builder.timeline()
    assert seen.bins <= MAX_BINS
    for person in seen.participants:
        steps = [int((frame + 1e-3) / fps // seen.bin_s) for frame, name in sightings if name == person.id]
        assert person.sightings.tolist() == np.bincount(steps, minlength=seen.bins).tolist()
        assert person.scores[person.sightings > 0, HAPPINESS] == pytest.approx(0.76)


def valence(shown: str) -> float:
    return mean_valence(scores_of(shown))
