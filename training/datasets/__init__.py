"""Labelled face pictures on disk, and as arrays: what training and measuring read.

Read are prepared sets (`training prepare`), folders named after classes, and KDEF's and CK+'s own file names.
"""

from training.datasets.dataset import Dataset, DatasetError, Picture, by_source, refuse_shared_persons
from training.datasets.faces import Faces, load_faces, pixel_digest
from training.datasets.folder import read_dataset

__all__ = [
    "Dataset",
    "DatasetError",
    "Faces",
    "Picture",
    "by_source",
    "load_faces",
    "pixel_digest",
    "read_dataset",
    "refuse_shared_persons",
]
