"""The place of the archive: a folder, or a bucket of an S3-compatible store."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from worker.contract.credentials import without_credentials
from worker.contract.keys import ID

ENDING = ".parquet"

# What S3's client says if nothing answers, or the server is overloaded; a later try may succeed.
_AWAY = ("NETWORK_CONNECTION", "REQUEST_TIMEOUT", "SERVICE_UNAVAILABLE", "SLOW_DOWN", "INTERNAL_FAILURE")

_AWS = re.compile(r"AWS Error ([A-Z_0-9]+)[^:]*: (.*?)(?: \(Request ID.*)?$", re.DOTALL)


class ArchiveUnusable(Exception):
    """The archive cannot be used; the message says which one and why. `away`: a later try may succeed."""

    def __init__(self, message: str, away: bool = False) -> None:
        super().__init__(message)
        self.away = away


class Place:
    """A folder or a part of a bucket with one file for each lecture. Nothing is opened before it is needed."""

    def __init__(self, address: str) -> None:
        """`address` is the path of a folder, or s3://BUCKET/PREFIX?OPTION=VALUE; ValueError if it is neither."""
        if not address:
            raise ValueError("the archive has no name; give a folder, or s3://BUCKET/PREFIX")
        try:
            address.encode()
        except UnicodeEncodeError:
            raise ValueError(f"archive {address!r}: its name is not text in UTF-8; choose another one") from None
        self.address = address
        self._folder: Path | None = None
        self.shown = without_credentials(address) if "://" in address else address
        parts = urlsplit(address) if "://" in address else None
        if parts is None or parts.scheme == "file":
            try:
                self._folder = Path(address if parts is None else unquote(parts.path)).expanduser().absolute()
            except RuntimeError:
                raise ValueError(f"archive {self.shown}: there is no such home folder; write the whole path") from None
            self.address = str(self._folder)  # a child process may have another working folder
        elif parts.scheme != "s3":
            raise ValueError(f"archive {self.shown} is neither a folder nor s3://BUCKET/PREFIX")
        elif "@" in parts.netloc:
            raise ValueError(
                f"archive {self.shown}: keys in the address are not accepted; put them into AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY"
            )
        elif not parts.netloc:
            raise ValueError(f"archive {self.shown} has no bucket; write s3://BUCKET/PREFIX")

    def check(self) -> None:
        """ArchiveUnusable if nothing can be read there, or the folder cannot be written to."""
        self.files()
        if self._folder is not None and not os.access(self._folder, os.W_OK | os.X_OK):
            raise ArchiveUnusable(f"cannot use the archive {self.shown}: this user may not write to it")

    def files(self) -> dict[str, Any]:
        """Lecture id -> time and size of its file, which differ after a change.

        Files that are not a lecture's are left out.
        """
        with self.explained():
            from pyarrow import fs

            system, root = self._opened
            found = system.get_file_info(fs.FileSelector(root, allow_not_found=self._folder is None))
            if not found and system.get_file_info(root.partition("/")[0] or root).type is fs.FileType.NotFound:
                raise FileNotFoundError
            return {
                each.base_name.removesuffix(ENDING): (each.mtime_ns, each.size)
                for each in found
                if each.is_file and re.fullmatch(rf"{ID}{re.escape(ENDING)}", each.base_name)
            }

    def has(self, lecture: str) -> bool:
        """Whether there is a file of a lecture."""
        with self.explained():
            system, root = self._opened
            found = system.get_file_info(_path(root, lecture))
        if not found.is_file:
            self.files()  # raises if there is no such folder or bucket
        return bool(found.is_file)

    def open(self, lecture: str) -> Any:
        """A lecture's file, as pyarrow reads it."""
        system, root = self._opened
        return system.open_input_file(_path(root, lecture))

    @contextmanager
    def writing(self, lecture: str) -> Iterator[Any]:
        """A new file that replaces the lecture's when this context ends. After a failure, nothing is left of it."""
        with self.explained():
            system, root = self._opened
            path = partial = _path(root, lecture)
            if self._folder is not None:  # a store shows a file only when it is complete
                partial = str(self._folder / f".{lecture}.{token_hex(8)}.partial")  # containers share numbers
            try:
                with system.open_output_stream(partial) as stream:
                    yield stream
                if self._folder is not None:
                    with Path(partial).open("rb") as file:
                        os.fsync(file.fileno())  # afterwards, Redis may lose the events
                    system.move(partial, path)
            except BaseException:
                with suppress(OSError):
                    system.delete_file(partial)
                raise

    def erase(self, lecture: str) -> bool:
        """Delete a lecture's file, and what killed programs left of it; whether there was a file."""
        with self.explained():
            for partial in self._folder.glob(f".{lecture}.*.partial") if self._folder is not None else ():
                partial.unlink(missing_ok=True)
            if not self.has(lecture):
                return False
            system, root = self._opened
            system.delete_file(_path(root, lecture))
        return True

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Raise ArchiveUnusable for what the folder or the store refuses."""
        try:
            yield
        except OSError as failure:
            raise self.refusal(failure) from None

    def refusal(self, failure: OSError) -> ArchiveUnusable:
        """What to raise for a failure of the folder or the store."""
        if isinstance(failure, FileNotFoundError) and not (self._folder is not None and self._folder.exists()):
            what = "there is no such folder; create it" if self._folder is not None else "there is no such bucket"
            return ArchiveUnusable(f"cannot use the archive {self.shown}: {what}")
        said = _AWS.search(str(failure))
        why = f"{said[2]} ({said[1]})" if said else failure.strerror or failure
        away = any(each in str(failure) for each in _AWAY)
        return ArchiveUnusable(f"cannot use the archive {self.shown}: {why}", away)

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        """The file system and the path of the folder in it."""
        from pyarrow import fs  # late: slow to load

        if self._folder is not None:
            return fs.LocalFileSystem(), str(self._folder)
        parts = urlsplit(self.address)
        plain = parts._replace(path=quote(unquote(parts.path))).geturl()  # a user may write ü, or %C3%BC
        try:
            system, root = fs.FileSystem.from_uri(plain)
        except ValueError as wrong:
            raise ArchiveUnusable(f"cannot use the archive {self.shown}: {wrong}") from None
        return system, root


def refused(failure: OSError) -> bool:
    """Whether the folder or the store failed. Otherwise pyarrow says that a file is damaged."""
    return failure.errno is not None or "AWS Error" in str(failure)


def _path(root: str, lecture: str) -> str:
    return f"{root.rstrip('/')}/{lecture}{ENDING}"
