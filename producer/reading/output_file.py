"""The file that a command writes: complete or absent, never overwritten, or standard output."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryFile, gettempdir
from typing import IO, NamedTuple

from producer.reading.analysis.losses import Loss

STANDARD_OUTPUT = Path("-")
"""The path that means standard output."""

PAGE_SUFFIXES = (".html", ".htm")


class ExportRefused(Exception):
    """The file cannot be written, or there is nothing to write; the message says why."""


class Written(NamedTuple):
    """What was written: whether the lecture is over, and the channels with missing events."""

    over: bool
    losses: list[Loss]


def shown_path(path: Path) -> str:
    """`path` in a message."""
    return "standard output" if path == STANDARD_OUTPUT else str(path)


def check_absent(path: Path) -> None:
    """ExportRefused if there is a file at `path`."""
    if path != STANDARD_OUTPUT and path.exists():
        raise ExportRefused(f"{str(path)!r} exists already; remove it or choose another name")


def check_page_path(path: Path) -> None:
    """ExportRefused if a page of HTML cannot be written to `path`."""
    if path != STANDARD_OUTPUT and path.suffix not in PAGE_SUFFIXES:
        raise ExportRefused(f"cannot write a page to {str(path)!r}: the name must end in .html")
    check_absent(path)


@contextmanager
def complete_or_absent(path: Path) -> Iterator[IO[bytes]]:
    """A file beside `path` that gets its name when it is complete. Standard output also gets all of it or nothing.

    Raises ExportRefused if it cannot be written, and OutputLost if standard output cannot.
    """
    if path == STANDARD_OUTPUT:
        try:
            with TemporaryFile(prefix="lecturepulse-") as whole:  # some formats seek in their file; a pipe cannot
                yield whole
                whole.seek(0)
                shutil.copyfileobj(whole, sys.stdout.buffer)
                sys.stdout.buffer.flush()
        except OSError as failure:
            where = f"cannot write the whole output to {gettempdir()} first: {failure.strerror or failure}"
            raise ExportRefused(f"{where}; set TMPDIR to another folder, or name a file") from None
        return
    partial = path.with_name(f".{path.name}.{token_hex(4)}.partial")  # containers share process numbers
    try:
        file = partial.open("xb")
        try:
            with file:
                yield file
            check_absent(path)  # again: another command may have been faster
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as failure:
        raise ExportRefused(f"cannot write {str(path)!r}: {failure.strerror or failure}") from None
