"""Giving rare emotions more weight: by a cap for each emotion, as in the study (5), or by weights."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal

from training.preparing.face import ExaminedFace
from training.preparing.record import Removal
from training.preparing.selection.splits import draw_key

Balance = Literal["none", "weights"]


def capped(faces: Sequence[ExaminedFace], cap: int, seed: int) -> tuple[list[ExaminedFace], list[Removal]]:
    """At most `cap` training faces of each emotion, drawn by `seed`; other splits are unchanged."""
    of_emotion = defaultdict(list)
    for face in faces:
        if face.record.split == "train":
            of_emotion[face.record.emotion].append(face.likeness.digest)
    over = {digest for drawn in of_emotion.values() for digest in sorted(drawn, key=lambda d: draw_key(d, seed))[cap:]}
    removed = [
        Removal(face.record.source, face.record.origin, "over the cap", face.record.emotion)
        for face in faces
        if face.likeness.digest in over
    ]
    return [face for face in faces if face.likeness.digest not in over], removed


def class_weights(faces: Sequence[ExaminedFace]) -> dict[str, float]:
    """The weight of a training face of each emotion, so that all emotions have the same total; 1 on average."""
    counts = Counter(face.record.emotion for face in faces if face.record.split == "train")
    return {emotion: counts.total() / (len(counts) * count) for emotion, count in counts.items()}
