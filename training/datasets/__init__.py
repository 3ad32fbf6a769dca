"""Labelled pictures: reading a folder of them, and loading them as arrays. Nothing here changes or writes pictures."""

from training.datasets.dataset import Dataset, DatasetError, LabelledPicture, by_source, left_out, refuse_shared_persons
from training.datasets.faces import FaceArrays, load_faces, pixel_digest
from training.datasets.folder import read_dataset

__all__ = [
    "Dataset",
    "DatasetError",
    "FaceArrays",
    "LabelledPicture",
    "by_source",
    "left_out",
    "load_faces",
    "pixel_digest",
    "read_dataset",
    "refuse_shared_persons",
]
