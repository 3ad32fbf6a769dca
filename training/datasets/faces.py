"""Labelled pictures as arrays, scaled the way the worker scales them."""

import hashlib
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from training.datasets.dataset import Dataset, DatasetError, left_out
from worker.contract.messages import EMOTIONS
from worker.perception.preprocessing import CHANNELS, Colour, Image, network_pixels


@dataclass(frozen=True)
class FaceArrays:
    """n pictures: pixels [n, size, size, channels] uint8, labels [n] int64.

    `digests` are equal for pictures whose files decode to the same pixels, and for no others. `votes` [n, 7] float32
    are the shares of annotators that voted for each emotion, rows sum to one; without votes the label has the share 1.
    `weights` [n] float32 are weights in training. `origins` are the files that prepared pictures were made of, None for
    others.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    digests: list[bytes]
    votes: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    origins: list[str | None] = field(default_factory=list)


def load_faces(datasets: Sequence[Dataset], size: int, colour: Colour, without: Container[bytes] = ()) -> FaceArrays:
    """Decode and scale every picture the way the worker does.

    A picture that does not decode, or whose digest is in `without`, is counted in its dataset's `skipped`.
    Raises DatasetError if no picture is left.
    """
    pixels, digests, used = [], [], []
    for dataset in datasets:
        for picture in dataset.pictures:
            image = picture.pixels()
            if image is None:
                dataset.skipped["unreadable"] += 1
                continue
            digest = pixel_digest(image)
            if digest in without:
                dataset.skipped["also in validation"] += 1
                continue
            pixels.append(network_pixels(image, size, colour))
            digests.append(digest)
            used.append(picture)
    if not pixels:
        names = ", ".join(dataset.name for dataset in datasets)
        skipped = sum((dataset.skipped for dataset in datasets), Counter[str]())
        raise DatasetError(f"{names}: none of its pictures can be used{left_out(skipped)}")
    one_hot = np.eye(len(EMOTIONS))
    return FaceArrays(
        pixels=np.concatenate(pixels).reshape(len(pixels), size, size, CHANNELS[colour]),
        labels=np.asarray([picture.label for picture in used], np.int64),
        digests=digests,
        votes=np.asarray(
            [one_hot[picture.label] if picture.votes is None else picture.votes for picture in used], np.float32
        ),
        weights=np.asarray([picture.weight for picture in used], np.float32),
        origins=[picture.origin for picture in used],
    )


def pixel_digest(image: Image) -> bytes:
    """A digest that is equal for pictures of the same shape and pixels, and for no others."""
    return hashlib.blake2b(repr(image.shape).encode() + image.tobytes(), digest_size=16).digest()
