"""Which pictures are trained on and which are measured on, where nobody has published it."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from training.preparing.face import Face


def with_splits(faces: Sequence[Face], share: float, seed: int) -> list[Face]:
    """Every face with a split: the published one where there is one, else train.

    Of what is for training in a source that has no validation part, `share` becomes one. People are not divided; where
    they are not known each emotion is divided by itself. Who goes where hangs on `seed` and on pixels or names of
    people, not on their order.
    """
    validated = {face.record.family for face in faces if face.record.split == "validation"}
    strata = defaultdict(set)
    for face in faces:
        if _for_training(face) and face.record.family not in validated:
            strata[_stratum(face)].add(_unit(face))
    chosen = {
        (stratum, unit)
        for stratum, units in strata.items()
        for unit in sorted(units, key=lambda unit: place(unit, seed))[: _number(len(units), share)]
    }
    return [_placed(face, (_stratum(face), _unit(face)) in chosen) for face in faces]


def place(what: bytes, seed: int) -> bytes:
    """Where something stands in an order that is drawn by `seed` and is the same on every machine."""
    return hashlib.blake2b(what, digest_size=16, key=str(seed).encode()).digest()


def _stratum(face: Face) -> tuple[str, str]:
    known = face.record.person is not None
    return face.record.family, "people" if known else face.record.emotion


def _unit(face: Face) -> bytes:
    return face.likeness.digest if face.record.person is None else face.record.person.encode()


def _number(units: int, share: float) -> int:
    """How many of some are for validation: at least one, and not all, where there is a share at all."""
    return min(max(1, round(units * share)), units - 1) if share else 0


def _placed(face: Face, chosen: bool) -> Face:
    if not _for_training(face):
        return face
    return replace(face, record=replace(face.record, split="validation" if chosen else "train"))


def _for_training(face: Face) -> bool:
    return face.record.split in (None, "train")
