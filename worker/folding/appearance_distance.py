"""The distance of two appearance descriptors, and their average."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def distances(some: Sequence[bytes], others: Sequence[bytes]) -> npt.NDArray[np.float32]:
    """Distances between two sets of descriptors, [len(some), len(others)]: (mean of the roots of differences) squared.

    The roots give many small differences more weight than a few large ones, such as a hand in front of the face.
    """
    roots = np.sqrt(np.abs(_values(some)[:, np.newaxis] - _values(others)[np.newaxis]))
    return np.asarray(roots.mean(axis=2) ** 2, np.float32)


def blended(before: bytes, now: bytes, share: float) -> bytes:
    """The descriptor `before`, moved towards `now` by `share` of the way."""
    a, b = _values([before, now])
    return bytes(np.rint((1 - share) * a + share * b).astype(np.int8))


def _values(descriptors: Sequence[bytes]) -> npt.NDArray[np.float32]:
    return np.frombuffer(b"".join(descriptors), np.int8).reshape(len(descriptors), -1).astype(np.float32)
