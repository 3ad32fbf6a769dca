"""Removing copies: which of several copies of a picture stays in the set."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from training.preparing.face import ExaminedFace
from training.preparing.record import SPLITS, Removal, Split
from training.preparing.selection.likeness import alike_pairs


def without_duplicates(faces: Sequence[ExaminedFace]) -> tuple[list[ExaminedFace], list[Removal]]:
    """One of each picture, and the other copies as removed: first equal pixels, then pictures that look alike.

    Of copies in several splits, the one in test stays, else the one in validation; a face without a split counts as
    train. Of copies in one split, the first stays if all have the same emotion, otherwise none. Two pictures of known
    persons never count as alike, because a session has many such pictures and a person is in one split only. If a
    picture of an unknown person looks like one of them, the picture of the unknown person is removed.
    """
    faces, removed = _one_of_each(faces, _equal(faces), _EQUAL)
    faces, removed_too = _one_of_each(faces, _alike(faces), _ALIKE)
    return faces, removed + removed_too


class _Relation(NamedTuple):
    """How two pictures are related, the reason for a removal, and whether pictures of known persons stay."""

    verb: str
    reason: str
    known_stay: bool


_EQUAL = _Relation("equals", "duplicate", known_stay=False)
_ALIKE = _Relation("looks like", "near-duplicate", known_stay=True)


def _equal(faces: Sequence[ExaminedFace]) -> Iterator[list[int]]:
    of_digest = defaultdict(list)
    for i, face in enumerate(faces):
        of_digest[face.likeness.digest].append(i)
    return (group for group in of_digest.values() if len(group) > 1)


def _alike(faces: Sequence[ExaminedFace]) -> Iterator[list[int]]:
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
    faces: Sequence[ExaminedFace], groups: Iterable[list[int]], relation: _Relation
) -> tuple[list[ExaminedFace], list[Removal]]:
    gone: dict[int, Removal] = {}
    for group in groups:
        for i, reason, other in _leaving(faces, group, relation):
            gone[i] = faces[i].record.removed(reason, f"{relation.verb} {faces[other].record.origin}")
    return [face for i, face in enumerate(faces) if i not in gone], list(gone.values())


def _leaving(faces: Sequence[ExaminedFace], group: list[int], relation: _Relation) -> Iterator[tuple[int, str, int]]:
    """The copies of one picture that are removed: each with the reason and the copy that the reason refers to."""
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


def _split(face: ExaminedFace) -> Split:
    return face.record.split or "train"
