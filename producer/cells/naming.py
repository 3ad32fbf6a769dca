"""The list of cells, and the cell of a lecture. Pure.

The cell of a lecture follows from its id by rendezvous hashing (Thaler and Ravishankar, 1998): of all cells, it is the
one with the highest hash of its name and the id. So every program finds the same cell without asking, and a cell that
is added or removed moves only the lectures that it gets or had.
"""

import hashlib
import re
import shlex
from collections.abc import Sequence
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct

from worker.contract.credentials import UNREADABLE_URL, without_credentials

REDIS_VARIABLES = ("LECTUREPULSE_CELLS", "REDIS_URL")
"""Environment variables with the Redis of a command: the list of cells, or one Redis. Both may hold passwords."""

_SEPARATOR = re.compile(r"\s+|,\s*(?=(?:[\w.-]+=)?\w+://)")  # a password may hold a comma
_ENTRY = re.compile(r"(?:([A-Za-z0-9][A-Za-z0-9_.-]{0,63})=)?(\w+://.*)")
_DEFAULT_PORT = 6379


class CellsRefused(ValueError):
    """A list of cells that cannot be used; the message says why, without credentials."""


class Cell(Struct, frozen=True):
    """A cell: the URL of its Redis, and its name, from which its lectures follow."""

    name: str
    url: str


def read_cells(text: str) -> list[Cell]:
    """The cells in `text`, a list of `URL` or `NAME=URL`, separated by spaces or commas. Raises CellsRefused.

    Without a name, host, port and database are the name. So a new password or TLS option moves no lecture. A single
    URL is a single cell; it is not checked here.
    """
    entries = _entries(text)
    if len(entries) == 1 and "=" not in entries[0].partition("://")[0]:
        return [Cell(without_credentials(entries[0]), entries[0])]
    cells: list[Cell] = []
    addresses: dict[str, str] = {}
    for entry in entries:
        match = _ENTRY.fullmatch(entry)
        address = _address(match[2]) if match else None
        if match is None or address is None:
            raise CellsRefused(f"cell {_beginning(entry)}: {UNREADABLE_URL}, a space as %20; a cell is URL or NAME=URL")
        name = match[1] or address
        if address in addresses:
            raise CellsRefused(f"the Redis {address} is listed twice as a cell; list each Redis once")
        if name in addresses.values():
            raise CellsRefused(f"two cells have the name {name}; give each a name of its own")
        cells.append(Cell(name, match[2]))
        addresses[address] = name
    if not cells:
        raise CellsRefused("the list of cells is empty; write the URL of each cell's Redis, separated by spaces")
    return cells


def shown_cells(text: str) -> str:
    """A list that `read_cells` takes, without credentials, as a word of a command line."""
    shown = []
    for entry in _entries(text):
        match = _ENTRY.fullmatch(entry)
        name = f"{match[1]}=" if match and match[1] else ""
        shown.append(name + without_credentials(entry.removeprefix(name)))
    return shlex.quote(" ".join(shown)) if len(shown) > 1 else "".join(shown)


def ranked(cells: Sequence[Cell], lecture: str) -> list[Cell]:
    """The cells in the order in which they would have `lecture`; the first is its cell."""
    return sorted(cells, key=lambda cell: hashlib.sha256(f"{cell.name} {lecture}".encode()).digest(), reverse=True)


def _entries(text: str) -> list[str]:
    return [each.strip(",") for each in _SEPARATOR.split(text.strip(", \t\n")) if each.strip(",")]


def _beginning(entry: str) -> str:
    """What can be shown of an entry that cannot be read. Without an @ it may hold the beginning of a password."""
    if "@" in entry:
        return without_credentials(entry)
    name, separator, _ = entry.partition("://")
    return f"{name[:40]}://..." if separator else "..."


def _address(url: str) -> str | None:
    """Host, port and database of a Redis URL, or the path of its socket and the database; None if it is no such URL."""
    try:
        parts = urlsplit(url)
        path = "" if parts.scheme == "unix" else unquote(parts.path).strip("/")
        database = int(parse_qs(parts.query).get("db", [path or "0"])[0])
        if parts.scheme == "unix" and parts.path:
            return f"{parts.path}:{database}"
        if parts.scheme in ("redis", "rediss") and parts.hostname and "@" not in parts.path + parts.query:
            host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            return f"{host}:{parts.port or _DEFAULT_PORT}/{database}"
    except ValueError:
        pass
    return None
