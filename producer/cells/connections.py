"""The connections to the cells: the one that has a lecture, or all of them."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import redis

from producer.archive.archive import Archive
from producer.cells.naming import Cell, ranked
from worker.contract.connection import RedisUnusable
from worker.contract.keys import LectureKeys

T = TypeVar("T")

# Seconds for which a cell that did not answer is not asked again, so that a page does not wait for it each time.
RESTING_S = 5.0


class CellDown(RedisUnusable):
    """A cell does not answer, or cannot be used; the message names it and says why."""

    def __init__(self, cell: Cell, failure: object) -> None:
        super().__init__(f"cell {cell.name}: {failure}")
        self.cell = cell


class Cells:
    """Connections to `cells`, made by `connect` when they are first needed. One Redis is the case of one cell.

    With one cell, failures are raised as they are. With several, a cell that fails is a CellDown.
    """

    def __init__(
        self, cells: Sequence[Cell], connect: Callable[[Cell], redis.Redis], archive: Archive | None = None
    ) -> None:
        """`archive` is that of all cells."""
        self.cells = cells
        self.archive = archive
        self.last = cells[0]
        """The cell of the client that was returned last."""
        self._connect = connect
        self._clients: dict[Cell, redis.Redis] = {}
        self._failed: dict[Cell, tuple[float, str]] = {}

    def client_of(self, lecture: str) -> redis.Redis:
        """The client of the cell that has `lecture`; if none has it, of the cell that will have it.

        If its cell does not have it, the others are asked, because the list of cells may have changed since it began.
        Raises CellDown if its cell does not answer and no other has it.
        """
        if len(self.cells) == 1:
            return self._client(self.cells[0])
        info = LectureKeys(lecture).info
        home, *others = ranked(self.cells, lecture)
        down: CellDown | None = None
        for cell in (home, *others):
            try:
                if self._ask(cell, lambda client: client.exists(info)):
                    return self._client(cell)
            except CellDown as failure:
                down = failure if cell is home else down
        if down is not None:
            raise down
        return self._client(home)

    def each(self, do: Callable[[redis.Redis], T]) -> tuple[list[T], list[CellDown]]:
        """What `do` returns for each cell that answers, and the cells that do not. They are asked at the same time.

        If no cell answers, the failure of the first is raised.
        """
        if len(self.cells) == 1:
            return [do(self._client(self.cells[0]))], []

        def asked(cell: Cell) -> T | CellDown:
            try:
                return self._ask(cell, do)
            except CellDown as down:
                return down

        with ThreadPoolExecutor(len(self.cells)) as threads:
            answers = list(threads.map(asked, self.cells))
        down = [each for each in answers if isinstance(each, CellDown)]
        if len(down) == len(self.cells):
            raise down[0]
        return [each for each in answers if not isinstance(each, CellDown)], down

    def close(self) -> None:
        for each in self._clients.values():
            each.close()

    def _ask(self, cell: Cell, do: Callable[[redis.Redis], T]) -> T:
        """What `do` returns. Raises CellDown, also for RESTING_S after the last failure without trying."""
        until, why = self._failed.get(cell, (0.0, ""))
        if time.monotonic() < until:
            raise CellDown(cell, why)
        try:
            return do(self._client(cell))
        except (RedisUnusable, redis.RedisError, OSError) as failure:
            self._failed[cell] = time.monotonic() + RESTING_S, str(failure)
            raise CellDown(cell, failure) from None

    def _client(self, cell: Cell) -> redis.Redis:
        if cell not in self._clients:
            self._clients[cell] = self._connect(cell)
        self.last = cell
        return self._clients[cell]


def one_cell(client: redis.Redis, archive: Archive | None = None) -> Cells:
    """The case of one Redis, with its client."""
    return Cells([Cell("redis", "")], lambda _: client, archive)
