"""Which of several copies of a picture stays in the set."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from training.preparing.face import Face
from training.preparing.record import SPLITS, Removal, Split
from training.preparing.selection.likeness import alike_pairs


def without_duplicates(faces: Sequence[Face]) -> tuple[list[Face], list[Removal]]:
    """One of each picture, pixel for pixel at first and then by likeness; and the others, as removed.

    Copies in several splits: the one that is measured on stays, test before validation before train; what has no split
    yet counts as train. Copies in one split: the first stays where all say the same emotion, none where they do not.
    Pictures whose persons are known are never called alike, as a session has many that are, and splits divide nobody;
    where one whose person is not known looks like them it is the one to go.
    """
    faces, removed = _one_of_each(faces, _equal(faces), _EQUAL)
    faces, removed_too = _one_of_each(faces, _alike(faces), _ALIKE)
    return faces, removed + removed_too


class _Relation(NamedTuple):
    """What two pictures are to each other, the reason that a copy goes for, and whether those of known persons stay."""

    verb: str
    reason: str
    known_stay: bool


_EQUAL = _Relation("equals", "duplicate", known_stay=False)
_ALIKE = _Relation("looks like", "near-duplicate", known_stay=True)


def _equal(faces: Sequence[Face]) -> Iterator[list[int]]:
    of_digest = defaultdict(list)
    for i, face in enumerate(faces):
        of_digest[face.likeness.digest].append(i)
    return (group for group in of_digest.values() if len(group) > 1)


def _alike(faces: Sequence[Face]) -> Iterator[list[int]]:
    pairs = alike_pairs([face.likeness for face in faces])
    known = np.array([face.record.person is not None for face in faces], bool)
    pairs = pairs[~known[pairs].all(axis=1)]
    links = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(faces), len(faces)))
    groups = defaultdict(list)
    _, group_of = connected_components(links, directed=False)
    for i in np.unique(pairs).tolist():
        groups[group_of[i]].append(i)
    return iter(groups.values())


def _one_of_each(
    faces: Sequence[Face], groups: Iterable[list[int]], relation: _Relation
) -> tuple[list[Face], list[Removal]]:
    gone: dict[int, Removal] = {}
    for group in groups:
        for i, reason, other in _leaving(faces, group, relation):
            record, stays = faces[i].record, faces[other].record.origin
            gone[i] = Removal(record.source, record.origin, reason, f"{relation.verb} {stays}")
    return [face for i, face in enumerate(faces) if i not in gone], list(gone.values())


def _leaving(faces: Sequence[Face], group: list[int], relation: _Relation) -> Iterator[tuple[int, str, int]]:
    """Of copies of one picture: which goes, why, and which other one is to blame."""
    highest = max((_split(faces[i]) for i in group), key=SPLITS.index)
    measured = [i for i in group if _split(faces[i]) == highest]
    yield from ((i, f"also in {highest}", measured[0]) for i in group if i not in measured)
    emotion_of = {i: faces[i].record.emotion for i in measured}
    staying = [i for i in measured if relation.known_stay and faces[i].record.person is not None]
    if not staying and len(set(emotion_of.values())) == 1:
        staying = measured[:1]
    if staying:
        yield from ((i, relation.reason, staying[0]) for i in measured if i not in staying)
        return
    for i in measured:
        yield i, "conflicting labels", next(j for j in measured if emotion_of[j] != emotion_of[i])


def _split(face: Face) -> Split:
    return face.record.split or "train"
