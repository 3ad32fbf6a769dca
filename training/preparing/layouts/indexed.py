"""A prepared set, or a split of one: read by its index."""

from collections.abc import Iterator
from pathlib import Path

from training.datasets.index import INDEX, read_index
from training.preparing.record import SPLITS, Record, Split


def recognises(source: Path) -> bool:
    """A folder with an index, or with a split that has one."""
    return bool(_indexed(source))


def read(source: Path) -> Iterator[Record]:
    """The crops with their persons, votes, sources and origins. Their weights are computed anew."""
    for folder, split in _indexed(source):
        for e in read_index(folder):
            yield Record(e.source, e.origin, folder / e.file, e.emotion, e.person, split, votes=e.votes)


def _indexed(source: Path) -> list[tuple[Path, Split | None]]:
    """The folders that have an index, with their split; None for a split that is read alone."""
    if not source.is_dir():
        return []
    if (source / INDEX).is_file():
        return [(source, None)]
    return [(source / split, split) for split in SPLITS if (source / split / INDEX).is_file()]
