"""Scores over time: each observation weighed by how well the face was seen and how long ago the last one was.

An exponential average that gives way where it is contradicted (Trigg and Leach, Exponential smoothing with an
adaptive response rate, 1967, in spirit): small differences from frame to frame are noise and are averaged away, a
large one is a change of expression and is followed at once. A plain average with a time constant of one second lags
so much that it was wrong more often than the scores themselves: 0.683 for 0.713 on five rendered galleries. On eight of
them, of ten people whom no network was trained on, this one was right in 0.894 where the scores were in 0.892 (in six
of the eight more often, in one less), and showed within 1.5 s 1,152 of the 1,158 changes that the scores showed within
1.5 s. With a memory of 3 s it was right in 0.894 too, but followed later and lost to the scores in two (November 2026).
What networks are wrong about is not mended by looking longer; noise is.
"""

import math

from worker.observations import FaceSeen, Reading

# Observations further back than this count for less than a third of what they did.
MEMORY_S = 1.0

# Where this share of the probability has moved elsewhere, the old average is given up altogether. What moves less
# contradicts it by so high a power that half as much is hardly any contradiction.
CONTRADICTION = 0.3
CONTRADICTION_POWER = 8

# A face this wide, in pixels of the source, that BlazeFace is this sure of is seen as well as can be.
WELL_SEEN_WIDTH = 48.0
WELL_SEEN_DETECTION = 0.85


def smoothed_scores(before: Reading, face: FaceSeen, gap_s: float) -> Reading:
    """What is known of somebody who displayed `before` (smoothed) and `gap_s` seconds later is seen as `face`.

    After a gap of many seconds nothing of `before` is left: a face unseen for a while is not held frozen.
    """
    seen = min(1.0, face.detection / WELL_SEEN_DETECTION) * min(1.0, face.box[2] / WELL_SEEN_WIDTH)
    moved = sum(abs(old - new) for old, new in zip(before, face.scores, strict=True)) / 2
    contradicted = seen * min(1.0, (moved / CONTRADICTION) ** CONTRADICTION_POWER)
    weight = max(1 - math.exp(-seen * gap_s / MEMORY_S), contradicted)
    a, b, c, d, e, f, g = ((1 - weight) * old + weight * new for old, new in zip(before, face.scores, strict=True))
    return a, b, c, d, e, f, g
