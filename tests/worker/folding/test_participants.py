"""Tiny worlds of moving boxes, in which it is known who is who."""

from functools import cache

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from worker.contract.messages import FrameStamp
from worker.folding.participants import (
    MAX_DESCRIPTORS,
    MAX_TRACKS,
    PATIENCE_S,
    SIGHTINGS,
    IdentifiedSighting,
    TrackerState,
    advance,
)
from worker.outcome import FaceObservation, FrameObservation, ScoreVector
from worker.perception.appearance import GRID

CALM: ScoreVector = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
HAPPY: ScoreVector = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


TILES = [(300 * column + 50, 200 * row + 50) for row in range(3) for column in range(3)]


@cache
def look_of(person: int, glance: int = 0, change: float = 2.0) -> bytes:
    """What a person looks like, a little different at every glance."""
    looks = np.random.default_rng(person).normal(0, 25, 4 * GRID * GRID)
    looks += np.random.default_rng([person, glance]).normal(0, change, 4 * GRID * GRID)
    return bytes(np.clip(np.rint(looks), -127, 127).astype(np.int8))


def face(
    x: float,
    y: float,
    size: float = 100,
    detection: float = 0.95,
    scores: ScoreVector = CALM,
    look: bytes = look_of(0),
) -> FaceObservation:
    return FaceObservation((x, y, size, size), detection, scores, {}, look)


def gallery(number: int, seated: dict[int, int], size: float = 100) -> FrameObservation:
    """Frame `number` of a gallery: tile -> person."""
    return frame(number, *(face(*TILES[tile], size, look=look_of(who, number)) for tile, who in seated.items()))


def ids(told: list[IdentifiedSighting], seating: dict[int, dict[int, int]]) -> dict[int, set[str]]:
    """Person -> the ids that they were told under. `seating` says who sat where in each frame."""
    found: dict[int, set[str]] = {}
    for one in told:
        x, y = one.sighting.face.box[:2]
        found.setdefault(seating[one.sighting.frame][TILES.index((int(x), int(y)))], set()).add(one.participant)
    return found


def frame(number: int, *faces: FaceObservation, fps: float = 2) -> FrameObservation:
    return FrameObservation(FrameStamp(number, number / fps), list(faces))


def watch(
    frames: list[FrameObservation], roster: TrackerState | None = None
) -> tuple[TrackerState, list[IdentifiedSighting]]:
    roster, everything = roster or TrackerState(), []
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


@given(st.lists(st.permutations(range(9)), min_size=1, max_size=6), st.integers(4, 9))
def test_people_who_change_tiles_all_at_once_keep_their_ids(seatings: list[list[int]], people: int) -> None:
    seating = {
        n: {tile: who for tile, who in enumerate(order) if who < people}
        for n, order in enumerate(order for order in [list(range(9)), *seatings] for _ in range(3))
    }
    _, told = watch([gallery(n, seated) for n, seated in seating.items()])
    found = ids(told, seating)
    assert all(len(names) == 1 for names in found.values())
    assert len({name for names in found.values() for name in names}) == people


def test_when_the_tiles_shrink_to_a_strip_beside_a_shared_screen_everybody_is_still_who_they_were() -> None:
    before = [gallery(n, {tile: tile for tile in range(6)}) for n in range(6)]
    strip = [
        frame(n, *(face(20 + 70 * who, 640, 40, look=look_of(who, n)) for who in (3, 1, 5, 0, 4, 2)))
        for n in range(6, 12)
    ]
    _, told = watch([*before, *strip])
    for who in range(6):
        assert {one.participant for one in told if one.sighting.face.box[0] == 20 + 70 * who} == {f"p{who + 1:02d}"}


def test_who_takes_the_tile_of_somebody_who_left_is_somebody_else_and_who_comes_back_is_not() -> None:
    seating = {n: {0: 1, 1: 2} for n in range(10)}
    seating |= {n: {0: 1, 1: 3} for n in range(10, 20)}
    seating |= {n: {0: 2, 1: 3, 2: 1} for n in range(1000, 1010)}
    _, told = watch([gallery(n, seated) for n, seated in seating.items()])
    assert ids(told, seating) == {1: {"p01"}, 2: {"p02"}, 3: {"p03"}}


def test_who_stays_in_place_may_look_quite_different_for_a_while() -> None:
    hand = {n: look_of(1, 7, change=5.5) for n in range(10, 20)}
    frames = [frame(n, face(100, 100, look=hand.get(n, look_of(1, n)))) for n in range(30)]
    _, told = watch(frames)
    assert {one.participant for one in told} == {"p01"}


def test_who_walks_before_a_changing_wall_comes_back_as_who_they_were() -> None:
    there, later = range(20), range(40, 60)  # turned away for ten seconds, back at another place
    walk = [frame(n, face(100 + 15 * n, 100, look=look_of(1, n, change=4.0))) for n in [*there, *later]]
    _, told = watch(walk)
    assert {one.participant for one in told} == {"p01"}
    still = [frame(n, face(100, 100, look=look_of(1, n, change=0.5))) for n in there]
    _, told = watch([*still, *(frame(n, face(700, 100, look=look_of(1, n, change=4.0))) for n in later)])
    assert {one.participant for one in told} > {"p01"}, "who never changed is somebody else when so distances"


def test_who_is_shown_where_somebody_else_was_a_moment_ago_is_somebody_else() -> None:
    speakers = [1, 2, 1, 3]
    frames = [frame(n, face(100, 100, look=look_of(speakers[n // 10], n))) for n in range(40)]
    _, told = watch(frames)
    found = [{one.participant for one in told if one.sighting.frame // 10 == turn} for turn in range(4)]
    assert found == [{"p01"}, {"p02"}, {"p01"}, {"p03"}]


def test_somebody_new_gets_no_id_of_somebody_who_left_and_looks_alike() -> None:
    there, new = look_of(1), look_of(1, 1, change=7.0)
    frames = [frame(n, face(100, 100, look=there)) for n in range(10)]
    frames += [frame(n, face(700, 500, look=new)) for n in range(20, 30)]
    _, told = watch(frames)
    assert {one.participant for one in told if one.sighting.frame >= 20} == {"p02"}


def test_a_glance_that_is_unlike_somebody_who_moves_makes_nobody_new() -> None:
    frames = [frame(n, face(100, 100, look=look_of(1, n))) for n in range(10)]
    frames += [frame(10, face(700, 500, look=look_of(1, 10, change=5.5)))]
    frames += [frame(n, face(700, 500, look=look_of(1, n))) for n in range(11, 20)]
    _, told = watch(frames)
    assert {one.participant for one in told} == {"p01"}


def test_the_roster_stays_bounded_and_small_when_faces_never_stay() -> None:
    uncertain = [frame(n, face(n * 300 % 5000, n * 170 % 3000, detection=0.72, look=look_of(n))) for n in range(100)]
    roster, told = watch(uncertain)
    assert told == []
    assert len(roster.tracks) <= 2 * PATIENCE_S + 1
    crowd = [
        frame(n, *(face(i * 150, 0, look=look_of(9 * (n // SIGHTINGS) + i)) for i in range(9)))
        for n in range(60 * SIGHTINGS)
    ]
    roster, _ = watch(crowd)
    assert roster.named == 540
    assert len(roster.tracks) == MAX_TRACKS


def test_a_participant_takes_little_room_in_the_state_however_long_the_lecture() -> None:
    roster, _ = watch([frame(n, face(100, 100, look=look_of(1, n, change=5.0))) for n in range(200)])
    assert len(roster.tracks[0].descriptors) == MAX_DESCRIPTORS
    assert len(msgspec.json.encode(roster)) < 2000


def test_the_state_survives_its_way_through_redis() -> None:
    frames = [gallery(n, {0: n % 3, 4: 3 + n % 2}) for n in range(30)]
    roster = watch(frames[:15])[0]
    stored = msgspec.json.decode(msgspec.json.encode(roster), type=TrackerState)
    assert watch(frames[15:], stored) == watch(frames[15:], roster)


def test_in_a_recording_of_one_person_the_largest_face_is_that_person_wherever_it_is() -> None:
    frames = [frame(0, face(0, 0, 200), face(600, 0, 60)), frame(1, face(900, 500, 220)), frame(2, face(0, 300, 80))]
    _, told = watch(frames, TrackerState(only="alice"))
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
