"""Reading a folder of labelled pictures: a split of a prepared set, KDEF's file names, or class folders.

A picture whose label is none of the seven emotions is left out and counted.
"""

from collections.abc import Iterator
from pathlib import Path

from training.datasets.dataset import Dataset, DatasetError, LabelledPicture
from training.datasets.index import INDEX, Entry, read_index
from training.datasets.labels import folder_label, kdef_label
from worker.contract.messages import EMOTIONS

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


def read_dataset(folder: Path) -> Dataset:
    """List the pictures of `folder` by its index. If it has none, by KDEF's names, else by class folders.

    Raises DatasetError if the folder is missing, is a prepared set instead of a split of one, has an index that cannot
    be used, or holds no picture of the seven emotions.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; name one that holds a folder for each emotion")
    if splits := sorted(index.parent.name for index in folder.glob(f"*/{INDEX}")):
        raise DatasetError(f"{folder}: a prepared set; name one of its parts, {' or '.join(map(str, splits))}")
    dataset = Dataset(str(folder), [])
    if (folder / INDEX).exists():
        dataset.pictures.extend(_indexed_picture(folder, entry) for entry in read_index(folder))
    else:
        for path in picture_files(folder):
            label = kdef_label(path.stem) or folder_label(path.relative_to(folder).parent.parts, path.stem)
            if isinstance(label, str):
                dataset.skipped[label] += 1
            else:
                dataset.pictures.append(LabelledPicture(path, EMOTIONS.index(label.emotion), label.person))
    if not dataset.pictures:
        classes = ", ".join(EMOTIONS)
        raise DatasetError(f"{folder}: no labelled picture found; expected folders named {classes}, or KDEF file names")
    return dataset


def picture_files(folder: Path) -> Iterator[Path]:
    """Every picture file under `folder`, in the order of paths."""
    return (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())


def _indexed_picture(folder: Path, entry: Entry) -> LabelledPicture:
    votes = None if entry.votes is None else tuple(count / sum(entry.votes) for count in entry.votes)
    label = EMOTIONS.index(entry.emotion)
    return LabelledPicture(folder / entry.file, label, entry.person, entry.source, votes, entry.weight, entry.origin)
