"""The archive as a whole: its lectures, by id and as a list."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from producer.archive.lecture import ArchivedLecture, ArchiveDamaged, read
from producer.archive.place import ArchiveUnusable, Place

# Files whose heads are read at the same time. A store answers each after some hundredths of a second.
READERS = 16


class Archive:
    """The lectures that are kept in the folder or store at an address. Those whose retention is over do not count."""

    def __init__(self, address: str) -> None:
        """ValueError if `address` is neither a folder nor s3://BUCKET/PREFIX."""
        self.place = Place(address)
        self._known: dict[str, tuple[Any, ArchivedLecture | ArchiveDamaged]] = {}

    def lecture(self, name: str) -> ArchivedLecture | None:
        """A lecture, if it is here. Raises ArchiveDamaged and ArchiveUnusable."""
        if self.place.size(name) is None:
            return None
        found = read(self.place, name)
        return found if found.expires > time.time() else None

    def lectures(self) -> tuple[list[ArchivedLecture], list[ArchiveDamaged]]:
        """All lectures, and what is wrong with damaged files. Raises ArchiveUnusable.

        Only files that are new or have changed are read again.
        """
        self._read_heads()
        heads = [head for _, head in self._known.values()]
        now = time.time()
        return (
            [each for each in heads if isinstance(each, ArchivedLecture) and each.expires > now],
            [each for each in heads if isinstance(each, ArchiveDamaged)],
        )

    def erase(self, name: str) -> bool:
        """Erase a lecture; whether it was here. Raises ArchiveUnusable."""
        return self.place.erase(name)

    def erase_expired(self) -> list[str]:
        """Erase the lectures whose retention is over; their ids. Raises ArchiveUnusable."""
        self._read_heads()
        now = time.time()
        heads = [each for _, each in self._known.values()]
        over = [each.id for each in heads if isinstance(each, ArchivedLecture) and each.expires <= now]
        return [name for name in over if self.erase(name)]

    def _read_heads(self) -> None:
        files = self.place.files()
        before = {name: known for name, known in self._known.items() if files.get(name) == known[0]}
        new = [name for name in files if name not in before]
        with ThreadPoolExecutor(READERS) as readers:
            heads = dict(zip(new, readers.map(self._head, new), strict=True))
        self._known = {name: before[name] if name in before else (files[name], heads[name]) for name in files}

    def _head(self, name: str) -> ArchivedLecture | ArchiveDamaged:
        try:
            return read(self.place, name)
        except ArchiveDamaged as wrong:
            return wrong


__all__ = ["Archive", "ArchiveDamaged", "ArchiveUnusable", "ArchivedLecture"]
