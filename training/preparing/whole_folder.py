"""Writing a folder whole or not at all."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.datasets import DatasetError


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A new folder beside `out`. It becomes `out` when the block ends, and is removed if the block raises.

    Files that a killed process left there are removed. Raises DatasetError if the disk is full or cannot be written,
    or if another process is writing the same folder.
    """
    unfinished = out.parent / f".{out.name}.unfinished"
    try:
        unfinished.mkdir(parents=True, exist_ok=True)
        with _locked(unfinished, out):
            _empty(unfinished)
            try:
                yield unfinished
                unfinished.replace(out)
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
    except OSError as failure:
        raise DatasetError(f"{out}: {failure.strerror}; nothing was written, make room or name another --out") from None


@contextmanager
def _locked(folder: Path, out: Path) -> Iterator[None]:
    """Hold the folder's lock, which ends with the process."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise DatasetError(
            f"{out}: another `training prepare` is writing it; wait for it, or name another --out"
        ) from None
    try:
        yield
    finally:
        os.close(handle)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
