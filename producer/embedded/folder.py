"""The folders of the embedded mode, which only the user can read."""

import hashlib
import os
import re
import stat
import tempfile
from pathlib import Path

from platformdirs import user_data_path


class EmbeddedError(Exception):
    """The embedded mode cannot run here; the message says why and what to do."""


# Bytes of a socket's path. Linux allows 107.
LONGEST_SOCKET_PATH = 100


def data_folder() -> Path:
    """The folder of results, locks and logs; it is made if it does not exist."""
    try:
        folder = user_data_path("lecturepulse")
    except RuntimeError:  # a user without HOME whom the system does not know, as in a container
        raise EmbeddedError(
            "you have no home folder to keep results in; set XDG_DATA_HOME to a folder you can write to, "
            "or use your own Redis with --redis URL"
        ) from None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as failure:
        raise EmbeddedError(
            f"cannot keep results in {folder}: {failure.strerror}; set XDG_DATA_HOME to a folder you can write to, "
            "or use your own Redis with --redis URL"
        ) from None
    return folder


def socket_path(folder: Path) -> Path:
    """The server's socket: in `folder` or, if that path cannot be used, in the system's temporary folder.

    A path cannot be used if it is too long, because Redis would listen at a shortened path, or if it is not text,
    because it is part of a URL. Raises EmbeddedError if neither path can be used.
    """
    there = folder / "redis.sock"
    if len(os.fsencode(there)) <= LONGEST_SOCKET_PATH and _is_text(there):
        return there
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    elsewhere = private_folder(Path(tempfile.gettempdir()) / f"lecturepulse-{os.getuid()}-{name}") / "redis.sock"
    if len(os.fsencode(elsewhere)) > LONGEST_SOCKET_PATH or not _is_text(elsewhere):
        raise EmbeddedError(
            f"the path {elsewhere} is too long for a socket, or not text; set TMPDIR to another one, such as /tmp"
        )
    return elsewhere


def _is_text(path: Path) -> bool:
    try:
        return bool(str(path).encode())
    except UnicodeEncodeError:
        return False


def last_line(log: Path) -> str:
    """The last line of a log file that is not empty, or a note that there is none."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = [line for line in file.read(4096).decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"{log} is empty"


def erase_from_logs(word: str) -> None:
    """Delete every line with `word`, as a whole word, from the logs in the data folder."""
    named = re.compile(rb"(?<![A-Za-z0-9_-])" + re.escape(word.encode()) + rb"(?![A-Za-z0-9_])")
    for log in data_folder().glob("*.log"):
        with log.open("r+b") as file:  # in place, for the processes that have it open and write to it
            lines = file.readlines()
            kept = [line for line in lines if not named.search(line)]
            if len(kept) < len(lines):
                file.seek(0)
                file.writelines(kept)
                file.truncate()


def private_folder(folder: Path) -> Path:
    """`folder`, made if it does not exist; EmbeddedError if another user can write to it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise EmbeddedError(f"{folder} is open to other users; remove it, or set TMPDIR to another folder")
    return folder
