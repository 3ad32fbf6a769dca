"""Where the people of a class were: facing the screen, turned away, or out of view. These are signs to be seen.

They do not say whether anybody listens: docs/pose.md has the reasons, and how well they are known.
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

PRESENCE = ("facing the screen", "turned away", "out of view")
"""The words of every view, in the order of `presence`."""


def presence(frames: Array, sightings: Array, facing: Array, turned: Array) -> Array:
    """[bins, 3]: mean numbers of people facing, turned away and out of view in the frames of each step.

    `frames` [bins] counts the analysed frames, the others [people, bins] count each person's sightings, and those of
    them with the face to the screen and turned away. Somebody is out of view in the frames without a sighting of them,
    in the steps between those of their first and last sighting. NaN where there are no frames, where nobody is known,
    and where a sighting has no pose.
    """
    known = np.logical_or.accumulate(sightings > 0, axis=1)
    known &= np.logical_or.accumulate(sightings[:, ::-1] > 0, axis=1)[:, ::-1]
    edges = np.diff(known, axis=1, prepend=False, append=False)
    inner = known & ~(edges[:, :-1] | edges[:, 1:])
    out = np.where(inner, np.maximum(frames - sightings, 0), 0)
    sums = np.stack([each.sum(axis=0) for each in (facing, turned, out)], axis=1)
    unknown = (frames == 0) | ~known.any(axis=0) | (facing + turned < sightings).any(axis=0)
    return np.where(unknown[:, np.newaxis], np.nan, sums / np.maximum(frames, 1)[:, np.newaxis])


def class_presence(frames: Array, faces: Array, facing: Array, turned: Array) -> Array:
    """The same if participants are not known, from the class's sums [bins]. Out of view is then NaN."""
    unknown = (frames == 0) | (facing + turned < faces)
    sums = np.stack([facing, turned, np.full(len(frames), np.nan)], axis=1)
    return np.where(unknown[:, np.newaxis], np.nan, sums / np.maximum(frames, 1)[:, np.newaxis])


def presence_shares(numbers: Array) -> Array:
    """Shares of numbers [..., 3] of people, 0 to 1: NaN where `numbers` is, or has nobody."""
    total = np.nansum(numbers, axis=-1, keepdims=True)
    return np.divide(numbers, total, out=np.full(numbers.shape, np.nan), where=total > 0)
