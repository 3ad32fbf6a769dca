"""The archive as a whole: its lectures, by id and as a list."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from producer.archive.lecture import ArchiveDamaged, ArchivedLecture, read
from producer.archive.place import ArchiveUnusable, Place

ARCHIVE_VARIABLE = "LECTUREPULSE_ARCHIVE"
"""The environment variable with the archive's address."""

# Files whose heads are read at the same time. A store answers each after some hundredths of a second.
READERS = 16

# Seconds for which an archive that was away is not asked again, because each try takes seconds.
RESTING_S = 15.0


class Archive:
    """The lectures that are kept in the folder or store at an address. Those whose retention is over do not count."""

    def __init__(self, address: str) -> None:
        """ValueError if `address` is neither a folder nor s3://BUCKET/PREFIX."""
        self.place = Place(address)
        self.address, self.shown = self.place.address, self.place.shown
        self._known: dict[str, tuple[Any, ArchivedLecture | ArchiveDamaged]] = {}
        self._failure: tuple[float, ArchiveUnusable] | None = None

    def lecture(self, name: str) -> ArchivedLecture | None:
        """A lecture, if it is here. Raises ArchiveDamaged and ArchiveUnusable."""
        with self._not_often():
            if not self.place.has(name):
                return None
            found = read(self.place, name)
            return found if found.expires > time.time() else None

    def lectures(self) -> tuple[list[ArchivedLecture], list[ArchiveDamaged]]:
        """All lectures, and what is wrong with damaged files. Raises ArchiveUnusable."""
        with self._not_often():
            heads = self._heads()
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
        heads, now = self._heads(), time.time()
        over = [each.id for each in heads if isinstance(each, ArchivedLecture) and each.expires <= now]
        return [name for name in over if self.erase(name)]

    @contextmanager
    def _not_often(self) -> Iterator[None]:
        """Raise the last failure again, for RESTING_S without trying, if the archive was away."""
        if self._failure is not None and time.monotonic() < self._failure[0]:
            raise self._failure[1]
        try:
            yield
        except ArchiveUnusable as failure:
            self._failure = (time.monotonic() + RESTING_S, failure) if failure.away else None
            raise

    def _heads(self) -> list[ArchivedLecture | ArchiveDamaged]:
        """All lectures, and what is wrong with damaged files. Only files that are new or have changed are read."""
        files = self.place.files()
        before = {name: known for name, known in self._known.items() if files.get(name) == known[0]}
        new = [name for name in files if name not in before]
        with ThreadPoolExecutor(READERS) as readers:
            heads = dict(zip(new, readers.map(self._head, new), strict=True))
        self._known = {name: before[name] if name in before else (files[name], heads[name]) for name in files}
        return [head for _, head in self._known.values()]

    def _head(self, name: str) -> ArchivedLecture | ArchiveDamaged:
        try:
            return read(self.place, name)
        except ArchiveDamaged as wrong:
            return wrong
