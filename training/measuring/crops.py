"""Labelled crops: the faces of a dataset's pictures, cut out the way the worker does it."""

from collections.abc import Callable, Container, Iterator, Sequence

from training.datasets import Dataset, LabelledPicture, pixel_digest
from training.measuring.framing import AS_SERVED, Framing, moved, reframed
from training.preparing.cropping import choose_face, make_detector
from worker.perception.preprocessing import Box, Image, face_crop

DetectFace = Callable[[Image], Box | None]
"""The box of a picture's face; None if it has none."""


def pictures_with_crops(
    dataset: Dataset,
    framings: Sequence[Framing] = (AS_SERVED,),
    detect: DetectFace | None = None,
    without: Container[bytes] = (),
) -> Iterator[tuple[LabelledPicture, list[Image]]]:
    """Every usable picture and its crops, one for each framing.

    Without `detect`, a picture is a crop already. Unreadable pictures, pictures without a face, and those whose
    `pixel_digest` is in `without` are left out and counted in the dataset's `skipped`.
    """
    for picture in dataset.pictures:
        crops = _crops(picture, framings, detect, without)
        if isinstance(crops, str):
            dataset.skipped[crops] += 1
        else:
            yield picture, crops


def face_detector() -> DetectFace:
    """The worker's own detector; of several faces the largest."""
    detect = make_detector("mediapipe")
    return lambda image: choose_face(detect(image), None)


def pixel_digests(datasets: Sequence[Dataset]) -> frozenset[bytes]:
    """The `pixel_digest` of every readable picture of `datasets`."""
    images = (picture.pixels() for dataset in datasets for picture in dataset.pictures)
    return frozenset(pixel_digest(image) for image in images if image is not None)


def _crops(
    picture: LabelledPicture, framings: Sequence[Framing], detect: DetectFace | None, without: Container[bytes]
) -> list[Image] | str:
    """The crop in each framing, or the reason why there is none."""
    image = picture.pixels()
    if image is None:
        return "unreadable"
    if pixel_digest(image) in without:
        return "also in --without"
    if detect is None:
        return [reframed(image, framing) for framing in framings]
    box = detect(image)
    if box is None:
        return "no face"
    return [face_crop(image, moved(box, framing)) for framing in framings]
