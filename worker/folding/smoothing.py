"""Scores smoothed over time, weighted by the visibility of the face and the time since its last sighting.

This is an exponential average that reacts at once to a contradiction (in the spirit of Trigg and Leach, Exponential
smoothing with an adaptive response rate, 1967). Small differences between frames are noise and are averaged away. A
large difference is a change of expression and is followed at once. docs/tracking.md has the measurements.
"""

import math

from worker.outcome import FaceObservation, ScoreVector

# Observations older than this count for less than a third of their original weight.
MEMORY_S = 1.0

# If this share of the probability has moved to other emotions, the old average is dropped. The power makes half of that
# change count as almost no contradiction.
CONTRADICTION = 0.3
CONTRADICTION_POWER = 8

# A face at least this wide (pixels of the source) with at least this detection score has full weight.
WELL_SEEN_WIDTH = 48.0
WELL_SEEN_DETECTION = 0.85


def smoothed_scores(before: ScoreVector | None, face: FaceObservation, gap_s: float) -> ScoreVector | None:
    """The smoothed scores after `face`, observed `gap_s` seconds after the last face that could be read.

    `before` are the smoothed scores until now; None if no face could be read, and the first one begins the average. A
    face that cannot be read changes nothing. After many seconds nothing of `before` is left, so old scores do not
    persist.
    """
    if before is None or face.scores is None:
        return face.scores or before
    visibility = min(1.0, face.detection / WELL_SEEN_DETECTION) * min(1.0, face.box[2] / WELL_SEEN_WIDTH)
    moved = sum(abs(old - new) for old, new in zip(before, face.scores, strict=True)) / 2
    contradicted = visibility * min(1.0, (moved / CONTRADICTION) ** CONTRADICTION_POWER)
    weight = max(1 - math.exp(-visibility * gap_s / MEMORY_S), contradicted)
    a, b, c, d, e, f, g = ((1 - weight) * old + weight * new for old, new in zip(before, face.scores, strict=True))
    return a, b, c, d, e, f, g
