"""Tracking in tiny worlds of moving boxes, in which each box belongs to a known person."""

from collections.abc import Callable
from functools import cache

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.contract.messages import FrameStamp
from worker.folding.appearance_distance import COLOURS
from worker.folding.participants import (
    MAX_DESCRIPTORS,
    MAX_GAP_S,
    MAX_TRACKS,
    MIN_SIGHTINGS,
    IdentifiedSighting,
    TrackerState,
    advance,
)
from worker.outcome import DESCRIPTOR_BYTES, FaceObservation, FrameObservation, ScoreVector

CALM: ScoreVector = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)

TILES = [(300 * column + 50, 200 * row + 50) for row in range(3) for column in range(3)]


@cache
def descriptor(person: int, sighting: int = 0, change: float = 2.0) -> bytes:
    """The appearance descriptor of a person, a little different at every sighting."""
    values = np.random.default_rng(person).normal(0, 25, DESCRIPTOR_BYTES)
    values += np.random.default_rng([person, sighting]).normal(0, change, DESCRIPTOR_BYTES)
    return bytes(np.clip(np.rint(values), -127, 127).astype(np.int8))


def face(
    x: float,
    y: float,
    size: float = 100,
    detection: float = 0.95,
    scores: ScoreVector = CALM,
    appearance: bytes = descriptor(0),
) -> FaceObservation:
    return FaceObservation((x, y, size, size), detection, scores, {}, appearance)


def gallery(number: int, people: dict[int, int], size: float = 100) -> FrameObservation:
    """Frame `number` of a gallery: tile -> person."""
    return frame(
        number, *(face(*TILES[tile], size, appearance=descriptor(who, number)) for tile, who in people.items())
    )


def ids(found: list[IdentifiedSighting], placements: dict[int, dict[int, int]]) -> dict[int, set[str]]:
    """Person -> their ids. `placements` maps each frame to tile -> person."""
    ids_of: dict[int, set[str]] = {}
    for one in found:
        x, y = one.sighting.face.box[:2]
        ids_of.setdefault(placements[one.sighting.frame][TILES.index((int(x), int(y)))], set()).add(one.participant)
    return ids_of


def frame(number: int, *faces: FaceObservation, fps: float = 2) -> FrameObservation:
    return FrameObservation(FrameStamp(number, number / fps), list(faces))


def watch(
    frames: list[FrameObservation], state: TrackerState | None = None
) -> tuple[TrackerState, list[IdentifiedSighting]]:
    state, everything = state or TrackerState(), []
    for observed in frames:
        state, found = advance(state, observed)
        everything += found
    return state, everything


def test_a_still_gallery_has_as_many_participants_as_faces_through_a_whole_lecture() -> None:
    gallery = [face(300 * column + 50, 200 * row + 50) for row in range(3) for column in range(3)]
    _, found = watch([frame(n, *gallery) for n in range(120)])
    assert {one.participant for one in found} == {f"p{n:02d}" for n in range(1, 10)}
    assert len(found) == 9 * 120


@given(st.lists(st.tuples(st.floats(-30, 30), st.floats(-30, 30)), min_size=2, max_size=30), st.permutations(range(4)))
def test_people_that_move_a_little_keep_their_ids_in_any_order_of_detection(
    moves: list[tuple[float, float]], order: list[int]
) -> None:
    middles = [(100, 100), (500, 100), (100, 400), (500, 400)]
    first = frame(0, *(face(x, y) for x, y in middles))
    later = [
        frame(n, *(face(middles[i][0] + dx, middles[i][1] + dy) for i in order)) for n, (dx, dy) in enumerate(moves, 1)
    ]
    _, found = watch([first, *later])
    where = {f"p{i + 1:02d}": middles[i] for i in range(4)}
    for one in found:
        x, y = one.sighting.face.box[:2]
        assert abs(x - where[one.participant][0]) <= 30
        assert abs(y - where[one.participant][1]) <= 30
    assert len(found) == 4 * (len(moves) + 1)


def test_two_faces_that_come_close_never_share_an_id() -> None:
    frames = [frame(n, face(100 + 20 * n, 100), face(900 - 20 * n, 100)) for n in range(18)]
    _, found = watch(frames)
    for n in range(18):
        assert len({one.participant for one in found if one.sighting.frame == n}) == 2


HERE, THERE = (100, 100), (700, 500)
ONE_PERSON: dict[str, Callable[[int], list[FaceObservation]]] = {
    "there is a false detection for a moment": lambda n: [
        face(*HERE),
        *([face(600, 300, detection=0.72)] if n in (3, 4) else []),
    ],
    "the person is away for half a minute": lambda n: [] if 20 <= n < 80 else [face(*HERE)],
    "the appearance in one place differs much for a while": lambda n: [
        face(*HERE, appearance=descriptor(1, 7, change=5.5) if 10 <= n < 20 else descriptor(1, n))
    ],
    "the person moves and has one odd appearance": lambda n: [
        face(*(HERE if n < 10 else THERE), appearance=descriptor(1, n, change=5.5 if n == 10 else 2.0))
    ],
}


@pytest.mark.parametrize("case", ONE_PERSON)
def test_one_person_has_one_id_even_if(case: str) -> None:
    _, found = watch([frame(n, *ONE_PERSON[case](n)) for n in range(100)])
    assert {one.participant for one in found} == {"p01"}


def test_an_uncertain_face_that_stays_gets_an_id_and_all_its_sightings_are_published() -> None:
    _, found = watch([frame(n, face(100, 100, detection=0.75)) for n in range(MIN_SIGHTINGS + 2)])
    assert [(one.participant, one.sighting.frame) for one in found] == [("p01", n) for n in range(MIN_SIGHTINGS + 2)]


@given(st.lists(st.permutations(range(9)), min_size=1, max_size=6), st.integers(4, 9))
def test_people_that_change_tiles_all_at_once_keep_their_ids(orders: list[list[int]], people: int) -> None:
    placements = {
        n: {tile: who for tile, who in enumerate(order) if who < people}
        for n, order in enumerate(order for order in [list(range(9)), *orders] for _ in range(3))
    }
    _, found = watch([gallery(n, people) for n, people in placements.items()])
    ids_of = ids(found, placements)
    assert all(len(names) == 1 for names in ids_of.values())
    assert len({name for names in ids_of.values() for name in names}) == people


def test_when_the_tiles_shrink_to_a_strip_beside_a_shared_screen_all_keep_their_ids() -> None:
    before = [gallery(n, {tile: tile for tile in range(6)}) for n in range(6)]
    strip = [
        frame(n, *(face(20 + 70 * who, 640, 40, appearance=descriptor(who, n)) for who in (3, 1, 5, 0, 4, 2)))
        for n in range(6, 12)
    ]
    _, found = watch([*before, *strip])
    for who in range(6):
        assert {one.participant for one in found if one.sighting.face.box[0] == 20 + 70 * who} == {f"p{who + 1:02d}"}


def test_a_new_person_in_the_tile_of_one_that_left_gets_a_new_id_and_one_that_comes_back_keeps_the_id() -> None:
    placements = {n: {0: 1, 1: 2} for n in range(10)}
    placements |= {n: {0: 1, 1: 3} for n in range(10, 20)}
    placements |= {n: {0: 2, 1: 3, 2: 1} for n in range(1000, 1010)}
    _, found = watch([gallery(n, people) for n, people in placements.items()])
    assert ids(found, placements) == {1: {"p01"}, 2: {"p02"}, 3: {"p03"}}


def other_colours(appearance: bytes, seed: int = 0) -> bytes:
    """The same face in another light and before another wall: the colours change, the shape stays."""
    colours = np.random.default_rng([99, seed]).normal(0, 30, COLOURS)
    return bytes(np.clip(np.rint(colours), -127, 127).astype(np.int8)) + appearance[COLOURS:]


def test_a_person_that_walks_before_a_changing_wall_keeps_the_id() -> None:
    there, later = range(20), range(40, 60)  # away for ten seconds, back at another place
    walk = [frame(n, face(100 + 15 * n, 100, appearance=other_colours(descriptor(1, n), n))) for n in [*there, *later]]
    _, found = watch(walk)
    assert {one.participant for one in found} == {"p01"}


@pytest.mark.parametrize("fps", [0.2, 0.5, 1, 2, 5, 10])
def test_a_tile_in_another_light_keeps_the_id_while_others_come_and_go(fps: float) -> None:
    def at(n: int) -> FrameObservation:
        people = {tile: tile for tile in range(6 if 10 <= n < 20 else 5)}
        appearances = {who: descriptor(who, n) for who in people}
        if 14 <= n < 18 or n >= 24:
            appearances[2] = other_colours(appearances[2], n // 10)
        return frame(n, *(face(*TILES[tile], appearance=appearances[tile]) for tile in people), fps=fps)

    _, found = watch([at(n) for n in range(30)])
    assert {one.participant for one in found if one.sighting.face.box[:2] == TILES[2]} == {"p03"}
    assert {one.participant for one in found} == {f"p{n:02d}" for n in range(1, 7)}


def test_after_a_cut_to_others_in_the_same_places_nobody_has_an_old_id() -> None:
    def shape_between(one: int, other: int) -> bytes:  # too unlike for a face elsewhere, not for one at its place
        a, b = (np.frombuffer(descriptor(who), np.int8).astype(float) for who in (one, other))
        return bytes(np.rint(0.6 * a + 0.4 * b).astype(np.int8))

    before = [gallery(n, {0: 1, 1: 2, 2: 3}) for n in range(10)]
    after = [
        frame(n, *(face(*TILES[tile], appearance=shape_between(tile + 1, tile + 11)) for tile in range(3)))
        for n in range(10, 20)
    ]
    _, found = watch(before + after)
    old, new = ({one.participant for one in found if (one.sighting.frame >= 10) == late} for late in (False, True))
    assert (len(old), len(new)) == (3, 3)
    assert not old & new


def test_a_gallery_that_comes_back_after_another_view_has_its_places_again() -> None:
    speaker = [frame(n, face(400, 200, 300, appearance=descriptor(1, n))) for n in range(10, 20)]
    galleries = [gallery(n, {0: 1, 1: 2, 2: 3, 3: 4}) for n in range(10)]
    changed = [
        frame(
            n,
            *(face(*TILES[tile], appearance=descriptor(tile + 1, n)) for tile in range(3)),
            face(*TILES[3], appearance=descriptor(4, n, change=12.0)),
        )
        for n in range(20, 30)
    ]
    _, found = watch(galleries + speaker + changed)
    assert {one.participant for one in found} == {"p01", "p02", "p03", "p04"}
    assert {one.participant for one in found if one.sighting.face.box[:2] == TILES[3]} == {"p04"}


def test_the_tracks_of_an_older_version_are_found_again_by_their_places() -> None:
    state, _ = watch([gallery(n, {0: 1, 1: 2, 2: 3}) for n in range(5)])
    stored = msgspec.json.decode(msgspec.json.encode(state))
    del stored["t"], stored["cut"]
    for track in stored["tracks"]:
        del track["views"], track["unpublished"]
        track |= {"looks": ["A" * 344], "waiting": [], "restless": 0.5}
    old = msgspec.json.decode(msgspec.json.encode(stored), type=TrackerState)
    placements = {n: {0: 1, 1: 2, 2: 3} if n < 10 else {0: 2, 1: 3, 2: 1} for n in range(5, 15)}
    _, found = watch([gallery(n, people) for n, people in placements.items()], old)
    assert ids(found, placements) == {1: {"p01"}, 2: {"p02"}, 3: {"p03"}}


def test_speakers_shown_in_turn_in_the_same_place_have_their_own_ids() -> None:
    speakers = [1, 2, 1, 3]
    frames = [frame(n, face(100, 100, appearance=descriptor(speakers[n // 10], n))) for n in range(40)]
    _, found = watch(frames)
    by_turn = [{one.participant for one in found if one.sighting.frame // 10 == turn} for turn in range(4)]
    assert by_turn == [{"p01"}, {"p02"}, {"p01"}, {"p03"}]


def test_a_new_person_that_resembles_one_that_left_gets_a_new_id() -> None:
    there, new = descriptor(1), descriptor(1, 1, change=11.0)
    frames = [frame(n, face(100, 100, appearance=there)) for n in range(10)]
    frames += [frame(n, face(700, 500, appearance=new)) for n in range(20, 30)]
    _, found = watch(frames)
    assert {one.participant for one in found if one.sighting.frame >= 20} == {"p02"}


def test_the_state_stays_bounded_when_faces_never_stay() -> None:
    uncertain = [
        frame(n, face(n * 300 % 5000, n * 170 % 3000, detection=0.72, appearance=descriptor(n))) for n in range(100)
    ]
    state, found = watch(uncertain)
    assert found == []
    assert len(state.tracks) <= 2 * MAX_GAP_S + 2
    crowd = [
        frame(n, *(face(i * 150, 0, appearance=descriptor(9 * (n // MIN_SIGHTINGS) + i)) for i in range(9)))
        for n in range(60 * MIN_SIGHTINGS)
    ]
    state, _ = watch(crowd)
    assert state.ids == 540
    assert len(state.tracks) == MAX_TRACKS


def test_a_participant_takes_little_room_in_the_state_of_a_long_lecture() -> None:
    state, _ = watch([frame(n, face(100, 100, appearance=descriptor(1, n, change=5.0))) for n in range(200)])
    assert len(state.tracks[0].descriptors) == MAX_DESCRIPTORS
    assert len(msgspec.json.encode(state)) < 2500


def test_the_state_is_unchanged_after_its_way_through_redis() -> None:
    frames = [gallery(n, {0: n % 3, 4: 3 + n % 2}) for n in range(30)]
    state = watch(frames[:15])[0]
    stored = msgspec.json.decode(msgspec.json.encode(state), type=TrackerState)
    assert watch(frames[15:], stored) == watch(frames[15:], state)


def test_in_a_recording_of_one_person_the_largest_face_is_that_person_at_any_place() -> None:
    frames = [frame(0, face(0, 0, 200), face(600, 0, 60)), frame(1, face(900, 500, 220)), frame(2, face(0, 300, 80))]
    _, found = watch(frames, TrackerState(only="alice"))
    assert [(one.participant, one.sighting.face.box[0]) for one in found] == [("alice", x) for x in (0, 900, 0)]


@given(
    st.lists(
        st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 600), st.floats(20, 200), st.floats(0.7, 1)), max_size=6),
        max_size=25,
    )
)
def test_no_participant_is_twice_in_a_frame_and_sightings_are_in_order(
    world: list[list[tuple[float, float, float, float]]],
) -> None:
    _, found = watch([frame(n, *(face(*spot) for spot in spots)) for n, spots in enumerate(world)])
    appearances = [(one.participant, one.sighting.frame) for one in found]
    assert len(set(appearances)) == len(appearances)
    for who in {one.participant for one in found}:
        mine = [number for participant, number in appearances if participant == who]
        assert mine == sorted(mine)
