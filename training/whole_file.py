"""Writing a file whole or not at all."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training.recipe import RunError

# How failures name a full disk. If HDF5 finds it out on closing a file, its error has no number.
_DISK_FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` make a file that becomes `path` in one step, when it is complete.

    If the disk is full or cannot be written, raises RunError and removes the incomplete file.
    """
    unfinished = path.with_name(f"unfinished-{path.name}")
    try:
        write(unfinished)
        unfinished.replace(path)
    except (OSError, RuntimeError) as failure:
        unfinished.unlink(missing_ok=True)
        if any(reason in str(failure) for reason in _DISK_FULL):
            why = f"no space left to write {path.name}; make some and run the same command again"
        elif isinstance(failure, OSError):
            why = f"{path.name} cannot be written ({failure.strerror or failure}); name another --out"
        else:
            raise
        raise RunError(f"{path.parent}: {why}") from None
