"""The split of every face: the published one, or one that is drawn."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from training.preparing.face import ExaminedFace


def with_splits(faces: Sequence[ExaminedFace], share: float, seed: int) -> list[ExaminedFace]:
    """Every face with a split: the published one, or else train.

    A source without a validation part gets one, the `share` of its training faces. All faces of a person stay in one
    split; faces without a known person are drawn by emotion. The draw depends on `seed` and on pixels or persons, not
    on the order of `faces`.
    """
    validated = {face.record.family for face in faces if face.record.split == "validation"}
    strata = defaultdict(set)
    for face in faces:
        if _for_training(face) and face.record.family not in validated:
            strata[_stratum(face)].add(_unit(face))
    chosen = {
        (stratum, unit)
        for stratum, units in strata.items()
        for unit in sorted(units, key=lambda unit: draw_key(unit, seed))[: _number(len(units), share)]
    }
    return [_placed(face, (_stratum(face), _unit(face)) in chosen) for face in faces]


def draw_key(item: bytes, seed: int) -> bytes:
    """The sort key of `item` in an order that is drawn by `seed` and the same on every machine."""
    return hashlib.blake2b(item, digest_size=16, key=str(seed).encode()).digest()


def _stratum(face: ExaminedFace) -> tuple[str, str]:
    known = face.record.person is not None
    return face.record.family, "people" if known else face.record.emotion


def _unit(face: ExaminedFace) -> bytes:
    return face.likeness.digest if face.record.person is None else face.record.person.encode()


def _number(units: int, share: float) -> int:
    """The number of units for validation: at least one, but not all; 0 if the share is 0."""
    return min(max(1, round(units * share)), units - 1) if share else 0


def _placed(face: ExaminedFace, chosen: bool) -> ExaminedFace:
    if not _for_training(face):
        return face
    return replace(face, record=replace(face.record, split="validation" if chosen else "train"))


def _for_training(face: ExaminedFace) -> bool:
    return face.record.split in (None, "train")
