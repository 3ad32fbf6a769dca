"""Files made of a lecture: its report, kept while the lecture is unchanged, and exports to download."""

import asyncio
from collections.abc import Collection
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from starlette.concurrency import run_in_threadpool

from producer.archive.lecture import ArchivedLecture
from producer.cells.connections import Cells
from producer.reading.analysis.names import Roster
from producer.reading.choosing import store_of
from producer.reading.export import export
from producer.reading.lectures import Lecture, participants, read_lecture
from producer.reading.output_file import ExportRefused
from producer.reading.report.page import Link
from producer.reading.report.writing import report
from worker.contract.keys import LectureKeys

# Reports that are kept, the newest. One of an hour and 25 people has about 2 MB.
MAX_REPORTS = 8

DOWNLOADS = (("CSV", "csv"), ("Excel", "xlsx"), ("moments as subtitles", "vtt"), ("ELAN", "eaf"))
"""The files that every report offers: name and ending."""


class Reports:
    """Makes files in `folder`, one at a time, because each takes seconds. With `home`, a report links to the list."""

    def __init__(self, cells: Cells, folder: Path, roster: Roster | None, home: bool) -> None:
        self._cells = cells
        self._folder = folder
        self._roster = roster
        self._home = [Link("All lectures", "/")] if home else []
        self._making = asyncio.Lock()
        self._kept: dict[str, tuple[Any, bytes]] = {}

    async def of(self, lecture: str) -> bytes:
        """The report of a lecture as HTML. Raises LectureUnknown and RosterRefused."""
        async with self._making:
            known, page = self._kept.pop(lecture, (None, b""))
            state = await run_in_threadpool(self._state, lecture)
            if known != state:
                page = await run_in_threadpool(self._report, lecture)
            self._kept[lecture] = state, page
            while len(self._kept) > MAX_REPORTS:
                self._kept.pop(next(iter(self._kept)))
            return page

    async def export(self, lecture: str, ending: str) -> Path:
        """A new file with the events, alone in its folder. Raises LectureUnknown, ExportRefused and RosterRefused."""
        async with self._making:
            path = Path(mkdtemp(dir=self._folder)) / f"{lecture}.{ending}"
            try:
                await run_in_threadpool(self._export, lecture, path)
            except BaseException as failure:
                path.parent.rmdir()
                raise _by_name(failure, path) if isinstance(failure, ExportRefused) else failure from None
            return path

    def keep_only(self, lectures: Collection[str]) -> None:
        """Drop the reports of all other lectures, which were forgotten."""
        for lecture in [each for each in list(self._kept) if each not in lectures]:
            self._kept.pop(lecture, None)

    def _state(self, lecture: str) -> tuple[Lecture, list[int]]:
        """All that a report depends on: the lecture, and how many events each of its streams has."""
        store = store_of(self._cells, lecture)
        found = read_lecture(store, lecture)
        if isinstance(store, ArchivedLecture):
            return found, []
        keys = LectureKeys(lecture)
        with store.pipeline(transaction=False) as pipe:
            for stream in (keys.class_, *map(keys.participant, participants(store, lecture))):
                pipe.xlen(stream)
            return found, pipe.execute()

    def _export(self, lecture: str, path: Path) -> None:
        export(store_of(self._cells, lecture), lecture, path, self._roster)

    def _report(self, lecture: str) -> bytes:
        path = self._folder / f"{lecture}.html"
        files = (Link(f"Download {kind}", f"/lectures/{lecture}/export.{ending}") for kind, ending in DOWNLOADS)
        try:
            report(store_of(self._cells, lecture), lecture, path, self._roster, links=[*self._home, *files])
            return path.read_bytes()
        except ExportRefused as failure:
            raise _by_name(failure, path) from None
        finally:
            path.unlink(missing_ok=True)


def _by_name(failure: ExportRefused, path: Path) -> ExportRefused:
    """The same with the name of the file, because its folder is the server's own."""
    return ExportRefused(str(failure).replace(str(path), path.name))
