"""Small groups stay hidden: attacks on the published means of a class, whose people and scores are known here."""

from collections.abc import Callable, Mapping
from itertools import pairwise

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, structs

from worker.contract.messages import ClassEvent, FrameStamp, Pose
from worker.folding.fold import LectureState, fold, usuals
from worker.folding.small_groups import GATHER_S, Group, advance_group, shows_nobody
from worker.outcome import DESCRIPTOR_BYTES, FaceObservation, FrameObservation, Outcome, ScoreVector

SMALLEST = 5
FPS = 2
FRAMES = 240
HALF = FRAMES // 2
CLASSES = 30

Array = npt.NDArray[np.float64]

# Whether the attacked person (number 0) and the others [people] can be read in a frame.
Readable = Callable[[np.random.Generator, int, int], npt.NDArray[np.bool_]]


def leaves(_: np.random.Generator, people: int, frame: int) -> npt.NDArray[np.bool_]:
    return np.arange(people) >= (frame >= HALF)


def comes(_: np.random.Generator, people: int, frame: int) -> npt.NDArray[np.bool_]:
    return np.arange(people) >= (frame < HALF)


def flickers(random: np.random.Generator, people: int, frame: int) -> npt.NDArray[np.bool_]:
    return np.arange(people) >= random.integers(2)


def is_away_for_a_while(_: np.random.Generator, people: int, frame: int) -> npt.NDArray[np.bool_]:
    return np.arange(people) >= (HALF - 20 <= frame < HALF + 20)


def attacked(readable: Readable, smallest: int, seed: int) -> tuple[float, float]:
    """The errors of the attack and of a guess, root mean square over CLASSES people and their seven usual scores.

    The attacker knows every published mean and who was read when. The best estimate without knowing the rule is the sum
    over all with the person, less the sum without. Everybody has an own usual, and flickers around it.
    """
    random = np.random.default_rng(seed)
    attack, guess = [], []
    for _ in range(CLASSES):
        people = int(random.integers(6, 12))
        usual = random.dirichlet(np.full(7, 0.7), people)
        group = Group()
        means: dict[bool, list[ScoreVector]] = {True: [], False: []}
        for frame in range(FRAMES):
            shown = 0.8 * usual + 0.2 * random.dirichlet(np.full(7, 0.7), people)
            there = readable(random, people, frame)
            read = {f"p{n:02d}": tuple(shown[n].tolist()) for n in np.flatnonzero(there)}
            group, mean = published(group, read, frame / FPS, smallest)
            if mean is not None:
                means[bool(there[0])].append(mean)
        everywhere = np.mean(means[True] + means[False], axis=0)
        if means[True] and means[False]:
            with_, without = (np.mean(means[each], axis=0) for each in (True, False))
            attack.append(people * with_ - (people - 1) * without - usual[0])
        else:
            attack.append(everywhere - usual[0])
        guess.append(everywhere - usual[0])
    return float(np.sqrt(np.mean(np.square(attack)))), float(np.sqrt(np.mean(np.square(guess))))


def published(
    group: Group, read: Mapping[str, ScoreVector], t: float, smallest: int
) -> tuple[Group, ScoreVector | None]:
    if smallest > 1:
        return advance_group(group, read, t, smallest)
    return group, tuple(np.mean(list(read.values()), axis=0).tolist())


@pytest.mark.parametrize("readable", [leaves, comes, flickers, is_away_for_a_while])
def test_subtraction_finds_a_persons_scores_no_better_than_a_guess_from_the_class_mean(readable: Readable) -> None:
    hidden, guess = attacked(readable, SMALLEST, seed=17)
    assert hidden >= 0.97 * guess
    open_, guess = attacked(readable, 1, seed=17)
    assert open_ < 0.4 * guess, "the attack works where small groups are not hidden"


def test_somebody_who_leaves_or_cannot_be_read_does_not_move_the_mean() -> None:
    everybody = {f"p{n}": one_of(n) for n in range(8)}
    group, means = Group(), []
    for frame in range(40):
        read = everybody if frame < 20 else {who: each for who, each in everybody.items() if who not in ("p0", "p3")}
        group, mean = advance_group(group, read, frame / FPS, SMALLEST)
        means.append(mean)
    assert means[: int(GATHER_S * FPS)] == [None] * int(GATHER_S * FPS), "people are gathered first"
    assert len(set(means[int(GATHER_S * FPS) :])) == 1


def test_fewer_newcomers_than_the_smallest_group_wait_for_more() -> None:
    group, members = Group(), []
    for frame in range(60):
        count = 8 if frame < 20 else 11 if frame < 40 else 13
        group, _ = advance_group(group, {f"p{n}": one_of(n) for n in range(count)}, frame / FPS, SMALLEST)
        members.append(len(group.members))
    assert sorted(set(members)) == [0, 8, 13]


def test_people_who_are_gone_make_room_if_they_are_enough() -> None:
    for left, counted in ((5, 20), (3, 25)):
        group, mean = Group(), None
        for frame in range(400):
            read = {f"p{n}": one_of(n) for n in range(25 if frame < 20 else 20 if left == 5 else 22)}
            group, mean = advance_group(group, read, frame / FPS, SMALLEST)
        assert len(group.members) == counted
        assert mean is not None


def test_new_ids_of_the_same_people_are_not_mixed_with_somebody_who_leaves() -> None:
    """Three of nine get another id when a fourth leaves: seven ids differ, and one person."""
    group = Group()
    for frame in range(400):
        ids = [f"p{n}" for n in range(9)] if frame < 20 else ["q0", "q1", "q2", *(f"p{n}" for n in range(4, 9))]
        group, _ = advance_group(group, {who: one_of(int(who[1:])) for who in ids}, frame / FPS, SMALLEST)
    assert group.groups == [[f"p{n}" for n in range(9)]]


def test_nothing_is_published_while_most_of_the_group_is_gone() -> None:
    group, means = Group(), []
    for frame in range(400):
        people = range(12) if frame < 20 else [*range(5), *range(20, 23)]  # 7 are gone, 3 have come
        group, mean = advance_group(group, {f"p{n}": one_of(n) for n in people}, frame / FPS, 6)
        means.append(mean)
    assert means[30] is None, "5 of the smallest group of 6 are read"
    assert means[-1] is None


def test_groups_are_compared_with_all_earlier_ones() -> None:
    a, b, c = [f"a{n}" for n in range(6)], [f"b{n}" for n in range(6)], ["c"]
    assert shows_nobody([a + b], SMALLEST)
    assert shows_nobody([a + b, a], SMALLEST), "the difference is six people"
    assert not shows_nobody([a + b, a, b + c], SMALLEST), "the third, less the difference of the others, is one person"
    assert not shows_nobody([a + b, a + b + c], SMALLEST)
    assert not shows_nobody([a[:4]], SMALLEST)
    assert not shows_nobody([[]], SMALLEST)


@given(st.lists(st.sets(st.integers(0, 15)), min_size=1, max_size=60), st.integers(2, 7))
def test_no_combination_of_published_means_shows_anybody(people: list[set[int]], smallest: int) -> None:
    """Whoever is there, step by step: the share of a person's variance that least squares explains is 1 / smallest."""
    group = Group()
    for step, there in enumerate(people):
        for frame in range(8):
            read = {f"p{n:02d}": one_of(n) for n in there}
            group, mean = advance_group(group, read, 4.0 * step + frame / FPS, smallest)
            assert mean is None or len(there & {int(who[1:]) for who in group.members}) >= smallest
    if not group.groups:
        return
    within = np.array([[f"p{n:02d}" in each for n in range(16)] for each in group.groups], float)
    for n in range(16):
        person = np.eye(16)[n]
        best, *_ = np.linalg.lstsq(within.T, person, rcond=None)
        unexplained = float(np.sum((person - within.T @ best) ** 2))
        assert 1 - unexplained <= 1 / smallest + 1e-6
    assert all(len(set(one) ^ set(other)) >= smallest for one, other in pairwise(group.groups))


def one_of(n: int) -> ScoreVector:
    a, b, c, d, e, f, g = np.random.default_rng(n).dirichlet(np.ones(7)).tolist()
    return a, b, c, d, e, f, g


def face(n: int, scores: ScoreVector | None) -> FaceObservation:
    box = (150.0 * (n % 6), 150.0 * (n // 6), 90.0, 90.0)
    pose = Pose(40 if n == 0 else 0, 0, 0)
    read = FaceObservation(box, 0.95, scores, {}, bytes([16 * n]) * DESCRIPTOR_BYTES, pose=pose)
    return structs.replace(read, unreadable="dark") if scores is None else read


def test_class_events_of_small_groups_say_that_they_are_hidden() -> None:
    """Two in view; seven; five, of whom four can be read; nobody can be read; nobody is in view."""
    counts = [(2, 2)] * 10 + [(7, 7)] * 10 + [(5, 4)] * 4 + [(3, 0)] * 2 + [(0, 0)]
    state = LectureState(class_only=True, min_group=SMALLEST)
    events: list[ClassEvent] = []
    for number, (faces, read) in enumerate(counts):
        frame = [face(n, one_of(n) if n < read else None) for n in range(faces)]
        state = msgspec.json.decode(msgspec.json.encode(state), type=LectureState)  # as between chunks
        observed = FrameObservation(FrameStamp(number, number / FPS), frame)
        folded = fold("l", state, [Outcome([observed])], [1])
        state = folded.state
        events += [event for event in folded.class_channel if isinstance(event, ClassEvent)]
    assert [event.hidden for event in events] == [True] * 16 + [UNSET] * 4 + [True] * 4 + [UNSET] * 3
    assert [event.scores is None for event in events] == [True] * 16 + [False] * 4 + [True] * 7
    assert [event.valence is None for event in events] == [event.scores is None for event in events]
    assert [(event.faces, event.unreadable) for event in events] == [(faces, faces - read) for faces, read in counts]
    assert [event.turned_away for event in events] == [UNSET] * 10 + [1] * 14 + [UNSET] * 2 + [0]


def test_the_usual_of_the_class_is_that_of_its_group() -> None:
    state = LectureState(class_only=True, min_group=SMALLEST)
    frames = [
        FrameObservation(FrameStamp(n, n / FPS), [face(k, one_of(k)) for k in range(7 if n < 20 else 8)])
        for n in range(40)
    ]
    folded = fold("l", state, [Outcome(frames)], [40])
    own = usuals(folded.state)
    of_group = [own[who] for who in folded.state.group.members]
    assert len(of_group) == 7
    assert len(own) == 9, "eight people and the class"
    for emotion, share in own[None].items():
        assert share == pytest.approx(np.mean([each[emotion] for each in of_group]), abs=1e-3)
    alone = fold("l", state, [Outcome([structs.replace(frame, faces=frame.faces[:1]) for frame in frames])], [40])
    assert None not in usuals(alone.state)
