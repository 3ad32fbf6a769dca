"""The standard streams of the three programs, safe in any locale, and when closed, full or no longer read.

Quick to import, because it runs before everything else.
"""

import codecs
import os
import select
import sys
from contextlib import suppress
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import Any, TextIO

STDIN, STDOUT, STDERR = 0, 1, 2


class OutputLost(Exception):
    """Standard output takes nothing more; `reader_left` if it is a pipe that nobody reads. Later output is discarded.

    It is no OSError, because libraries end the program on a broken pipe, with exit codes of their own.
    """

    def __init__(self, failure: OSError) -> None:
        self.reader_left = isinstance(failure, BrokenPipeError)
        super().__init__(f"cannot write to standard output: {failure.strerror}; send the output to another place")


def protect_streams() -> None:
    """Open closed standard streams on /dev/null, and replace Python's with streams that any text can be written to.

    A closed descriptor would be given to the next file or connection, and a message would be written into it. What
    standard output cannot take raises OutputLost. What standard error cannot take is discarded.
    """
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            with suppress(OSError):  # no /dev/null
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free number
    if sys.stdin is None:
        sys.stdin = TextIOWrapper(FileIO(STDIN, closefd=False))
    sys.stdout = _text(_Output(_raw(STDOUT)), sys.stdout)
    sys.stderr = _text(_Log(_raw(STDERR)), sys.stderr, line_buffering=True)


def log_stream() -> TextIO:
    """Standard output for a log: lines that cannot be written are discarded, and the program continues."""
    return _text(_Log(_raw(STDOUT)), sys.stdout)


class _Output(BufferedWriter):
    # Not a raw stream with a `write` of its own: a signal after that write would make the buffer write once more.
    def write(self, data: Any) -> int:
        rest = memoryview(data)
        while True:
            try:
                super().write(rest)
                return memoryview(data).nbytes
            except BlockingIOError as full:
                rest = rest[full.characters_written :]
                select.select([], [self], [])  # another program made the terminal or pipe non-blocking
            except OSError as failure:
                raise self._lost(failure) from None

    def flush(self) -> None:
        while True:
            try:
                return super().flush()
            except BlockingIOError:
                select.select([], [self], [])
            except OSError as failure:
                raise self._lost(failure) from None

    def _lost(self, failure: OSError) -> OutputLost:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())  # for what is still in the buffers; Python writes it at its exit
        os.close(nowhere)
        return OutputLost(failure)


class _Log(BufferedWriter):
    def write(self, data: Any) -> int:
        with suppress(OSError):
            super().write(data)
        return memoryview(data).nbytes

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def _raw(descriptor: int) -> FileIO:
    return FileIO(descriptor, "w", closefd=False)


def _text(buffer: BufferedWriter, before: TextIO | None, line_buffering: bool = False) -> TextIO:
    """A text stream to `buffer`, in the encoding of the stream `before`. Characters that it lacks appear as \\xNN."""
    encoding = "utf-8" if before is None else before.encoding
    # Python's own choice in the locales C and POSIX, unless it is switched off.
    if codecs.lookup(encoding).name == "ascii" and "PYTHONIOENCODING" not in os.environ:
        encoding = "utf-8"
    # A pipe or file gets whole blocks, unless the user asks for unbuffered output.
    at_once = line_buffering or buffer.isatty() or getattr(before, "write_through", False)
    return TextIOWrapper(buffer, encoding, _REPLACED, line_buffering=at_once)


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    """Bytes of a file name that are not text stay as they are; characters that the encoding lacks become \\xNN."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeEncodeError:
        return codecs.backslashreplace_errors(error)


_REPLACED = "lecturepulse-replaced"
codecs.register_error(_REPLACED, _replaced)
