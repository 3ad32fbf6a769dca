"""Making rare emotions count as much as frequent ones: by a cap a class, as the study did (5), or by weights."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal

from training.preparing.face import Face
from training.preparing.record import Removal
from training.preparing.selection.splits import place

Balance = Literal["none", "weights"]


def capped(faces: Sequence[Face], cap: int, seed: int) -> tuple[list[Face], list[Removal]]:
    """At most `cap` faces of each emotion in training, drawn by `seed`; other splits stay as they are."""
    of_emotion = defaultdict(list)
    for face in faces:
        if face.record.split == "train":
            of_emotion[face.record.emotion].append(face.likeness.digest)
    over = {digest for drawn in of_emotion.values() for digest in sorted(drawn, key=lambda d: place(d, seed))[cap:]}
    removed = [
        Removal(face.record.source, face.record.origin, "over the cap", face.record.emotion)
        for face in faces
        if face.likeness.digest in over
    ]
    return [face for face in faces if face.likeness.digest not in over], removed


def class_weights(faces: Sequence[Face]) -> dict[str, float]:
    """What a training face of each emotion counts, so that all emotions together count the same; 1 on average."""
    counts = Counter(face.record.emotion for face in faces if face.record.split == "train")
    return {emotion: counts.total() / (len(counts) * count) for emotion, count in counts.items()}
