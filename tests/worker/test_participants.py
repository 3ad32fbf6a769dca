"""Tiny worlds of moving boxes, in which it is known who is who."""

from hypothesis import given
from hypothesis import strategies as st

from worker.contract.messages import FrameStamp
from worker.observations import FaceSeen, FrameSeen, Reading
from worker.participants import MEMORY_S, PATIENCE_S, SIGHTINGS, Roster, Told, advance

CALM: Reading = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
HAPPY: Reading = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


def face(x: float, y: float, size: float = 100, detection: float = 0.95, scores: Reading = CALM) -> FaceSeen:
    return FaceSeen((x, y, size, size), detection, scores, {})


def frame(number: int, *faces: FaceSeen, fps: float = 2) -> FrameSeen:
    return FrameSeen(FrameStamp(number, number / fps), list(faces))


def watch(frames: list[FrameSeen], roster: Roster | None = None) -> tuple[Roster, list[Told]]:
    roster, everything = roster or Roster(), []
    for seen in frames:
        roster, told = advance(roster, seen)
        everything += told
    return roster, everything


def test_a_still_gallery_has_as_many_participants_as_faces_through_a_whole_lecture() -> None:
    gallery = [face(300 * column + 50, 200 * row + 50) for row in range(3) for column in range(3)]
    _, told = watch([frame(n, *gallery) for n in range(120)])
    assert {one.participant for one in told} == {f"p{n:02d}" for n in range(1, 10)}
    assert len(told) == 9 * 120


@given(
    st.lists(st.tuples(st.floats(-30, 30), st.floats(-30, 30)), min_size=2, max_size=30),
    st.permutations(range(4)),
)
def test_people_who_fidget_in_their_tiles_keep_their_ids_in_whatever_order_they_are_found(
    moves: list[tuple[float, float]], order: list[int]
) -> None:
    middles = [(100, 100), (500, 100), (100, 400), (500, 400)]
    first = frame(0, *(face(x, y) for x, y in middles))
    later = [
        frame(n, *(face(middles[i][0] + dx, middles[i][1] + dy) for i in order)) for n, (dx, dy) in enumerate(moves, 1)
    ]
    _, told = watch([first, *later])
    where = {f"p{i + 1:02d}": middles[i] for i in range(4)}
    for one in told:
        x, y = one.sighting.face.box[:2]
        assert abs(x - where[one.participant][0]) <= 30
        assert abs(y - where[one.participant][1]) <= 30
    assert len(told) == 4 * (len(moves) + 1)


def test_two_faces_that_come_close_are_never_one_participant() -> None:
    frames = [frame(n, face(100 + 20 * n, 100), face(900 - 20 * n, 100)) for n in range(18)]
    _, told = watch(frames)
    for n in range(18):
        assert len({one.participant for one in told if one.sighting.frame == n}) == 2


def test_a_false_face_that_shows_up_for_a_moment_becomes_nobody() -> None:
    someone = face(100, 100)
    frames = [frame(n, someone, *([face(600, 300, detection=0.72)] if n in (3, 4) else [])) for n in range(20)]
    _, told = watch(frames)
    assert {one.participant for one in told} == {"p01"}


def test_an_uncertain_face_that_stays_becomes_somebody_and_nothing_of_it_is_lost() -> None:
    _, told = watch([frame(n, face(100, 100, detection=0.75)) for n in range(SIGHTINGS + 2)])
    assert [(one.participant, one.sighting.frame) for one in told] == [("p01", n) for n in range(SIGHTINGS + 2)]


def test_who_looks_away_for_half_a_minute_comes_back_as_the_same_participant() -> None:
    frames = [frame(n, *([] if 20 <= n < 80 else [face(100, 100)])) for n in range(100)]
    _, told = watch(frames)
    assert {one.participant for one in told} == {"p01"}


def test_the_roster_stays_bounded_when_faces_never_stay() -> None:
    frames = [frame(n, face(n * 300 % 5000, n * 170 % 3000, detection=0.72)) for n in range(500)]
    roster, told = watch(frames)
    assert told == []
    assert len(roster.tracks) <= 2 * PATIENCE_S + 1
    later = FrameSeen(FrameStamp(501, 250 + 2 * MEMORY_S), [])
    assert advance(roster, later)[0].tracks == []


def test_smoothed_scores_follow_a_change_within_three_time_constants_and_stay_probabilities() -> None:
    frames = [frame(n, face(0, 0, scores=CALM if n < 10 else HAPPY)) for n in range(20)]
    _, told = watch(frames)
    assert told[9].sighting.smoothed == CALM
    assert 0.2 < told[10].sighting.smoothed[3] < 0.6
    assert told[16].sighting.smoothed[3] > 0.9
    assert all(abs(sum(one.sighting.smoothed) - 1) < 1e-9 for one in told)


def test_in_a_recording_of_one_person_the_largest_face_is_that_person_wherever_it_is() -> None:
    frames = [frame(0, face(0, 0, 200), face(600, 0, 60)), frame(1, face(900, 500, 220)), frame(2, face(0, 300, 80))]
    _, told = watch(frames, Roster(only="alice"))
    assert [(one.participant, one.sighting.face.box[0]) for one in told] == [("alice", 0), ("alice", 900), ("alice", 0)]


@given(
    st.lists(
        st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 600), st.floats(20, 200), st.floats(0.7, 1)), max_size=6),
        max_size=25,
    )
)
def test_whatever_is_seen_nobody_is_twice_in_a_frame_and_every_story_is_told_in_order(
    world: list[list[tuple[float, float, float, float]]],
) -> None:
    _, told = watch([frame(n, *(face(*spot) for spot in spots)) for n, spots in enumerate(world)])
    appearances = [(one.participant, one.sighting.frame) for one in told]
    assert len(set(appearances)) == len(appearances)
    for who in {one.participant for one in told}:
        mine = [number for participant, number in appearances if participant == who]
        assert mine == sorted(mine)
