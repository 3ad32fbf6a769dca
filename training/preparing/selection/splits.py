"""The split of every face, and what balances the emotions in training: a cap, as in the study (5), or weights."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from training.preparing.face import ExaminedFace
from training.preparing.record import Removal, Split

Balance = Literal["none", "weights"]


def with_splits(faces: Sequence[ExaminedFace], share: float, seed: int) -> list[ExaminedFace]:
    """Every face with a split: the published one, or else train.

    A source without a validation part gets one, the `share` of its training faces. All faces of a person stay in one
    split; faces without a known person are drawn by emotion. The draw depends on `seed` and on pixels or persons, not
    on the order of `faces`.
    """
    validated = {face.record.family for face in faces if face.record.split == "validation"}
    groups = defaultdict(set)
    for face in faces:
        if _for_training(face) and face.record.family not in validated:
            group, unit = _group_and_unit(face)
            groups[group].add(unit)
    chosen = {
        (group, unit)
        for group, units in groups.items()
        for unit in sorted(units, key=lambda unit: _draw_key(unit, seed))[: _number(len(units), share)]
    }

    def placed(face: ExaminedFace) -> ExaminedFace:
        split: Split = "validation" if _group_and_unit(face) in chosen else "train"
        return replace(face, record=replace(face.record, split=split)) if _for_training(face) else face

    return [placed(face) for face in faces]


def capped(faces: Sequence[ExaminedFace], cap: int, seed: int) -> tuple[list[ExaminedFace], list[Removal]]:
    """At most `cap` training faces of each emotion, drawn by `seed`; other splits are unchanged."""
    of_emotion = defaultdict(list)
    for face in faces:
        if face.record.split == "train":
            of_emotion[face.record.emotion].append(face.likeness.digest)
    over = {digest for drawn in of_emotion.values() for digest in sorted(drawn, key=lambda d: _draw_key(d, seed))[cap:]}
    removed = [
        face.record.removed("over the cap", face.record.emotion) for face in faces if face.likeness.digest in over
    ]
    return [face for face in faces if face.likeness.digest not in over], removed


def class_weights(faces: Sequence[ExaminedFace]) -> dict[str, float]:
    """The weight of a training face of each emotion, so that all emotions have the same total; 1 on average."""
    counts = Counter(face.record.emotion for face in faces if face.record.split == "train")
    return {emotion: counts.total() / (len(counts) * count) for emotion, count in counts.items()}


def _draw_key(item: bytes, seed: int) -> bytes:
    """The sort key of `item` in an order that is drawn by `seed` and the same on every machine."""
    return hashlib.blake2b(item, digest_size=16, key=str(seed).encode()).digest()


def _group_and_unit(face: ExaminedFace) -> tuple[tuple[str, str], bytes]:
    """The group that a share is drawn from, and the unit that is drawn: the face's person, or else its pixels."""
    record = face.record
    if record.person is None:
        return (record.family, record.emotion), face.likeness.digest
    return (record.family, "people"), record.person.encode()


def _number(units: int, share: float) -> int:
    """The number of units for validation: at least one, but not all; 0 if the share is 0."""
    return min(max(1, round(units * share)), units - 1) if share else 0


def _for_training(face: ExaminedFace) -> bool:
    return face.record.split in (None, "train")
