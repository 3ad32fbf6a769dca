"""Who took part in a change of the class, and how the change is written."""

import numpy as np
import numpy.typing as npt

from producer.reading.analysis.changes import Changes, Values
from worker.contract.messages import EMOTIONS

# Emotions that count for a person: all that changed at least this share of the largest change.
COUNTS = 0.4

# The smallest change of a person in these emotions.
MIN_OWN = 0.1

# A person is counted if they could be read in at least this share of the steps.
MIN_READ = 0.5


def people_in(
    changes: Changes, first: int, end: int, change: Values, outside: npt.NDArray[np.bool_]
) -> tuple[int, int] | tuple[None, None]:
    """How many of how many people changed with the class in the steps [first, end); None if people are not known.

    `change` [7] is that of the class. Each person is compared with their own mean over the steps `outside`.
    """
    if not changes.people_known:
        return None, None
    signs = np.where(np.abs(change) >= COUNTS * np.abs(change).max(), np.sign(change), 0.0)
    # What rises and what falls are two sides of the same change, so one of them suffices.
    up, down = np.maximum(signs, 0), np.maximum(-signs, 0)
    people = of = 0
    for own, seen in zip(changes.own, changes.is_read, strict=True):
        inside = seen[first:end]
        if inside.mean() < MIN_READ:
            continue
        of += 1
        rest = seen & outside
        usual = own[:, rest].mean(axis=1) if rest.any() else np.zeros(len(change))
        differs = own[:, first:end][:, inside].mean(axis=1) - usual
        people += max(float(up @ differs), float(-down @ differs)) >= MIN_OWN
    return people, of


def by_size(change: Values) -> dict[str, float]:
    """Emotion -> change, the largest first."""
    named = [(emotion, round(float(size), 3)) for emotion, size in zip(EMOTIONS, change, strict=True)]
    return dict(sorted(named, key=lambda item: (-abs(item[1]), -item[1])))
