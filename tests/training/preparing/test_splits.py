"""Splits, copies, caps and weights: pure functions, on faces that follow from a seed."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.drawn_faces import distinct_face
from training.preparing.face import ExaminedFace
from training.preparing.record import Record, Removal, Split
from training.preparing.selection.duplicates import without_duplicates
from training.preparing.selection.likeness import likeness
from training.preparing.selection.splits import capped, class_weights, with_splits
from worker.contract.messages import EMOTIONS

_LIKENESS = [likeness(distinct_face("neutral", seed)) for seed in range(200)]


def face(
    seed: int, emotion: str = "fear", source: str = "web", person: str | None = None, split: Split | None = None
) -> ExaminedFace:
    record = Record(source, f"{source}/{emotion}/{split}{seed}.png", Path(), emotion, person, split)
    return ExaminedFace(record, None, _LIKENESS[seed])


def alike(face: ExaminedFace, seed: int) -> ExaminedFace:
    """Another face that looks like `face` without being equal to it."""
    like = replace(face.likeness, digest=bytes([seed]), hash=face.likeness.hash ^ 1)
    return replace(face, record=replace(face.record, origin=f"{face.record.origin}~{seed}"), likeness=like)


def origins(faces: list[ExaminedFace]) -> list[str]:
    return [face.record.origin for face in faces]


def reasons(removed: list[Removal]) -> Counter[str]:
    return Counter(removal.reason for removal in removed)


people = st.builds(
    lambda seed, emotion, person: face(seed, emotion, "kdef", f"kdef:F{person}"),
    st.integers(0, 199),
    st.sampled_from(EMOTIONS),
    st.integers(10, 18),
)
strangers = st.builds(
    lambda seed, emotion, split: face(seed, emotion, split=split),
    st.integers(0, 199),
    st.sampled_from(EMOTIONS),
    st.sampled_from([None, "train", "test"]),
)
sets = st.lists(people | strangers, min_size=1, max_size=60, unique_by=lambda face: face.likeness.digest)


@settings(deadline=None)
@given(sets, st.floats(0, 0.9), st.integers(0, 5))
def test_no_person_is_in_two_splits_and_test_faces_stay_in_test(
    faces: list[ExaminedFace], share: float, seed: int
) -> None:
    done = with_splits(faces, share, seed)
    splits_of = Counter(person for person, _ in {(f.record.person, f.record.split) for f in done if f.record.person})
    assert set(splits_of.values()) <= {1}
    for before, after in zip(faces, done, strict=True):
        assert after.record.split in ({"test"} if before.record.split == "test" else {"train", "validation"})


@settings(deadline=None)
@given(sets, st.integers(0, 5), st.randoms(use_true_random=False))
def test_the_splits_do_not_depend_on_the_order(faces: list[ExaminedFace], seed: int, random: Random) -> None:
    shuffled = list(faces)
    random.shuffle(shuffled)

    def splits(some: list[ExaminedFace]) -> dict[bytes, Split | None]:
        return {f.likeness.digest: f.record.split for f in with_splits(some, 0.3, seed)}

    assert splits(faces) == splits(shuffled)


def test_without_known_persons_every_emotion_gives_its_share() -> None:
    faces = [face(seed, EMOTIONS[seed % 2]) for seed in range(200)]
    done = with_splits(faces, 0.2, seed=1)
    assert Counter((f.record.emotion, f.record.split) for f in done) == {
        (emotion, split): count for emotion in EMOTIONS[:2] for split, count in (("train", 80), ("validation", 20))
    }


def test_another_seed_draws_other_faces() -> None:
    faces = [face(seed) for seed in range(100)]
    first, second = ([f.record.split for f in with_splits(faces, 0.2, seed)] for seed in (1, 2))
    assert first != second


def test_a_source_with_a_validation_part_keeps_the_rest_for_training() -> None:
    faces = [face(0, split="validation"), face(1, split="train"), *(face(seed) for seed in range(2, 50))]
    faces += [face(seed, source="other", split="train") for seed in range(50, 100)]
    counts = Counter((f.record.source, f.record.split) for f in with_splits(faces, 0.1, seed=1))
    assert counts == {
        ("web", "validation"): 1,
        ("web", "train"): 49,
        ("other", "validation"): 5,
        ("other", "train"): 45,
    }


def test_without_a_share_and_with_a_single_person_all_faces_are_for_training() -> None:
    assert {f.record.split for f in with_splits([face(s) for s in range(9)], 0, seed=1)} == {"train"}
    one = [face(seed, person="kdef:F01") for seed in range(9)]
    assert {f.record.split for f in with_splits(one, 0.5, seed=1)} == {"train"}


def test_of_equal_pictures_one_stays() -> None:
    faces = [face(1, source="a"), face(2), face(1, source="b"), face(1, source="c")]
    kept, removed = without_duplicates(faces)
    assert origins(kept) == ["a/fear/None1.png", "web/fear/None2.png"]
    assert [(r.origin, r.reason, r.detail) for r in removed] == [
        (f"{source}/fear/None1.png", "duplicate", "equals a/fear/None1.png") for source in "bc"
    ]


def test_of_equal_pictures_with_different_labels_none_stays() -> None:
    kept, removed = without_duplicates([face(1, "fear"), face(1, "anger"), face(2), face(1, "fear", source="b")])
    assert origins(kept) == ["web/fear/None2.png"]
    assert reasons(removed) == {"conflicting labels": 3}
    assert {r.detail for r in removed if "/fear/" in r.origin} == {"equals web/anger/None1.png"}


def test_copies_of_test_and_validation_pictures_are_removed_from_training_whatever_their_label() -> None:
    faces = [
        *(face(1, "anger"), face(1, "fear", split="train"), face(1, "fear", split="validation")),
        *(face(2, split="validation"), face(2, split="test")),
    ]
    kept, removed = without_duplicates(faces)
    assert [(f.record.split, f.likeness) for f in kept] == [("validation", _LIKENESS[1]), ("test", _LIKENESS[2])]
    assert reasons(removed) == {"also in validation": 2, "also in test": 1}


def test_pictures_that_look_alike_are_treated_like_equal_ones() -> None:
    seen = face(1, split="validation")
    agreed, disputed = face(2), face(3, "anger")
    faces = [
        *(seen, alike(face(1), 10)),
        *(agreed, alike(agreed, 11), alike(agreed, 12)),
        *(disputed, alike(face(3, "fear"), 13)),
    ]
    kept, removed = without_duplicates(faces)
    assert origins(kept) == origins([seen, agreed])
    assert reasons(removed) == {"also in validation": 1, "near-duplicate": 2, "conflicting labels": 2}


def test_alike_pictures_of_a_known_person_all_stay() -> None:
    first = face(1, "fear", "kdef", "kdef:F01")
    other_label = face(1, "neutral", "kdef", "kdef:F01")
    faces = [first, alike(first, 10), alike(other_label, 11), alike(face(1, "anger"), 12)]
    kept, removed = without_duplicates(faces)
    assert kept == faces[:3]
    assert [(r.source, r.reason) for r in removed] == [("web", "near-duplicate")]


def test_the_cap_removes_training_faces_only() -> None:
    faces = [face(s, "fear", split="train") for s in range(30)]
    faces += [face(s, "anger", split="train") for s in range(30, 40)]
    faces += [face(s, "fear", split="validation") for s in range(40, 60)]
    kept, removed = capped(faces, 20, seed=1)
    assert Counter((f.record.emotion, f.record.split) for f in kept) == {
        ("fear", "train"): 20,
        ("anger", "train"): 10,
        ("fear", "validation"): 20,
    }
    assert reasons(removed) == {"over the cap": 10}
    again, _ = capped(faces[::-1], 20, seed=1)
    assert sorted(origins(again)) == sorted(origins(kept))
    assert origins(capped(faces, 20, seed=2)[0]) != origins(kept)


@settings(deadline=None)
@given(st.lists(st.sampled_from(EMOTIONS), min_size=1, max_size=60))
def test_weights_give_all_emotions_the_same_total(emotions: list[str]) -> None:
    faces = [face(i, emotion, split="train") for i, emotion in enumerate(emotions)]
    weights = class_weights(faces)
    counts = Counter(emotions)
    assert max(abs(weights[e] * counts[e] - len(emotions) / len(counts)) for e in counts) < 1e-9
