"""Folding outcomes into events, the state and the ledger's counts."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, structs

from tests.worker.outcomes import SAD, outcomes
from worker.contract.messages import ClassEvent, FrameStamp, Pose, encode
from worker.folding.fold import Folded, LectureState, fold, usuals
from worker.outcome import DESCRIPTOR_BYTES, FaceObservation, FrameObservation, Outcome

FACE = FaceObservation((50.0, 50.0, 90.0, 90.0), 0.95, SAD, {"m": "sadness"}, bytes(DESCRIPTOR_BYTES))


def pictures(number: int, *participants: str) -> list[FrameObservation]:
    """Frame `number` with a picture, and a face, of each participant's recording."""
    return [FrameObservation(FrameStamp(number, number / 2, one, (640, 360)), [FACE]) for one in participants]


def class_events(folded: Folded) -> list[ClassEvent]:
    return [event for event in folded.class_channel if isinstance(event, ClassEvent)]


def test_with_class_only_nothing_is_published_about_a_person() -> None:
    folded = fold("l", LectureState(class_only=True), outcomes(count=2), [2, 2, 0])
    assert folded.emotions == []
    assert folded.state.spans == {}
    assert [event.faces for event in class_events(folded)] == [2, 2, 2, 2]


def test_scores_are_published_in_the_contracts_order_with_valence_and_arousal() -> None:
    (event, *_) = fold("l", LectureState(), outcomes(count=1), [2, 0]).emotions
    assert event.scores is not None
    assert list(event.scores) == ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    assert event.emotion == "sadness"
    assert event.valence == pytest.approx(0.75 * -0.63, abs=1e-4)
    assert event.arousal == pytest.approx(0.75 * -0.27, abs=1e-4)
    assert event.box == (0, 100, 90, 90)


def test_a_face_that_cannot_be_read_is_a_sighting_without_an_expression_and_not_in_the_means() -> None:
    unreadable = FaceObservation((500.0, 50.0, 20.0, 20.0), 0.95, None, {}, bytes([9]) * DESCRIPTOR_BYTES, "small")
    frames = [FrameObservation(FrameStamp(n, n / 2), [FACE, unreadable]) for n in range(2)]
    frames.append(FrameObservation(FrameStamp(2, 1.0), [unreadable]))
    folded = fold("l", LectureState(), [Outcome(frames)], [3])
    read, *_ = (event for event in folded.emotions if event.readable)
    unread = [event for event in folded.emotions if not event.readable]
    assert [(event.frame, event.reason, event.models) for event in unread] == [(n, "small", {}) for n in range(3)]
    for event in unread:
        assert (event.emotion, event.scores, event.smoothed, event.valence, event.arousal) == (None,) * 5
    assert b'"readable":false,"reason":"small"' in encode(unread[0])
    assert b'"readable":true' in encode(read)
    assert b"reason" not in encode(read)
    assert [(event.faces, event.unreadable) for event in class_events(folded)] == [(2, 1), (2, 1), (1, 1)]
    assert class_events(folded)[0].scores == read.scores
    assert (class_events(folded)[2].scores, class_events(folded)[2].valence) == (None, None)
    assert folded.state.spans[unread[0].participant].frames == 3, "it counts as seen"


def test_every_face_has_its_pose_and_the_class_counts_those_that_are_turned_away() -> None:
    facing = structs.replace(FACE, pose=Pose(-30, 4, 0))
    away = FaceObservation(
        (500.0, 50.0, 90.0, 90.0), 0.95, None, {}, bytes([9]) * DESCRIPTOR_BYTES, "turned", Pose(56, 0, 3)
    )
    older = FrameObservation(FrameStamp(1, 0.5), [FACE, away])  # FACE comes from a worker from before the pose
    folded = fold("l", LectureState(), [Outcome([FrameObservation(FrameStamp(0, 0.0), [facing, away]), older])], [2])
    assert [event.turned_away for event in class_events(folded)] == [1, UNSET]
    assert {event.pose for event in folded.emotions} == {Pose(-30, 4, 0), Pose(56, 0, 3), UNSET}
    assert b'"readable":false,"reason":"turned","pose":{"yaw":56,"pitch":0,"roll":3}' in encode(folded.emotions[1])
    outcome = Outcome([older])
    assert msgspec.json.decode(msgspec.json.encode(outcome), type=Outcome) == outcome


def test_after_a_face_could_not_be_read_the_average_goes_on_from_the_last_that_could() -> None:
    unreadable = structs.replace(FACE, scores=None, models={}, unreadable="turned")
    calm = structs.replace(FACE, scores=(0.0, 0.0, 0.0, 0.0, 0.6, 0.0, 0.4))
    faces = [FACE, *[unreadable] * 40, calm]
    frames = [FrameObservation(FrameStamp(n, n / 2), [face]) for n, face in enumerate(faces)]
    state = LectureState()
    for frame in frames:  # the state goes through JSON, as between chunks
        folded = fold("l", msgspec.json.decode(msgspec.json.encode(state), type=LectureState), [Outcome([frame])], [1])
        state = folded.state
    (event,) = folded.emotions
    assert event.smoothed == event.scores, "nothing is left of the first one after 20 s"


def test_several_recordings_of_one_lecture_are_one_class_and_each_has_its_participant() -> None:
    frames = [*pictures(0, "alice", "bob"), *pictures(1, "alice", "bob"), *pictures(2, "alice")]
    folded = fold("l", LectureState(), [Outcome(frames[:2]), Outcome(frames[2:])], [1, 2])
    assert [(event.frame, event.faces) for event in class_events(folded)] == [(0, 2), (1, 2), (2, 1)]
    both = [(who, frame) for frame in (0, 1) for who in ("alice", "bob")]
    assert [(event.participant, event.frame) for event in folded.emotions] == [*both, ("alice", 2)]
    assert folded.published == 3


def test_one_bad_picture_of_several_recordings_fails_the_frame_but_no_other_participant() -> None:
    frames = [*pictures(0, "alice", "bob"), *pictures(1, "bob"), *pictures(3, "alice", "bob")]
    folded = fold("l", LectureState(), [Outcome(frames, {1: "error", 2: "error"})], [4])
    assert [(event.frame, event.faces) for event in class_events(folded)] == [(0, 2), (3, 2)]
    assert [event.frame for event in folded.emotions if event.participant == "bob"] == [0, 1, 3]
    assert [event.frame for event in folded.emotions if event.participant == "alice"] == [0, 3]
    assert (folded.published, dict(folded.failed)) == (2, {"error": 2})


@given(kinds=st.lists(st.sampled_from(["whole", "failed", "half"]), max_size=20), chunks=st.integers(1, 4))
def test_the_ledger_counts_every_frame_once(kinds: list[str], chunks: int) -> None:
    parts = [list(enumerate(kinds))[n::chunks] for n in range(chunks)]
    folded_outcomes = [
        Outcome(
            [picture for n, kind in part if kind != "failed" for picture in pictures(n, "bob")],
            {n: "error" for n, kind in part if kind != "whole"},
        )
        for part in parts
    ]
    folded = fold("l", LectureState(), folded_outcomes, [len(part) for part in parts])
    assert folded.published + folded.failed.total() == len(kinds)
    assert np.all([kinds[event.frame] == "whole" for event in class_events(folded)])


def test_an_outcome_with_the_descriptors_of_an_older_version_does_not_fit() -> None:
    old = msgspec.structs.replace(FACE, appearance=bytes(256))
    stored = msgspec.json.encode(Outcome([FrameObservation(FrameStamp(0, 0.0), [old])]))
    with pytest.raises(msgspec.ValidationError, match="length"):
        msgspec.json.decode(stored, type=Outcome)


def test_everybodys_usual_is_known_at_the_end_and_that_of_the_class_is_the_mean() -> None:
    folded = fold("l", LectureState(), outcomes(count=2), [2, 2, 0])
    own = usuals(msgspec.json.decode(encode(folded.state), type=LectureState))
    assert own.keys() == {None, *folded.state.spans}
    assert own[None]["sadness"] == pytest.approx(SAD[4], abs=0.04)
    assert usuals(LectureState()) == {}
