"""Writing a file whole or not at all, and the form of JSON files."""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from training.recipe import RunError

# The text of a failure on a full disk. HDF5 raises errors without errno when it closes a file.
_DISK_FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` make a file that becomes `path` in one step, when it is complete.

    A missing folder is made. If the disk is full or cannot be written, raises RunError and removes the incomplete file.
    """
    unfinished = path.with_name(f"unfinished-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(unfinished)
        unfinished.replace(path)
    except (OSError, RuntimeError) as failure:
        with suppress(OSError):
            unfinished.unlink()
        if any(reason in str(failure) for reason in _DISK_FULL):
            why = f"no space left to write {path.name}; make some and run the same command again"
        elif isinstance(failure, OSError):
            why = f"{path.name} cannot be written ({failure.strerror or failure}); name another folder"
        else:
            raise
        raise RunError(f"{path.parent}: {why}") from None


def write_json(path: Path, value: object) -> None:
    """Write `value` as a file of JSON, like `write_whole`."""
    write_whole(path, lambda unfinished: unfinished.write_bytes(json_bytes(value)))


def json_bytes(value: object) -> bytes:
    """`value` as indented JSON, with a line break at the end."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
