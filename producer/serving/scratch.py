"""The server's own folder on disk, for uploads and files to download. Only the user can read it, and nothing stays.

A server removes its folder at its end. The folders of servers that were killed are removed at the start of the next.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from producer.embedded.folder import EmbeddedError, data_folder, private_folder


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder that exists during this context."""
    parent = _parent()
    with ExitStack() as at_end:
        with _locked(parent):  # so that no other server removes the new folder before it is locked
            for left in parent.iterdir():
                # It belongs to a running server, has gone already, or is a file.
                with suppress(OSError), _locked(left, fcntl.LOCK_NB):
                    shutil.rmtree(left, ignore_errors=True)
            own = Path(tempfile.mkdtemp(dir=parent))
            at_end.enter_context(_locked(own))
        at_end.callback(shutil.rmtree, own, ignore_errors=True)
        yield own


def _parent() -> Path:
    try:
        return private_folder(data_folder() / "serving")
    except EmbeddedError:  # a user without a home, who has another Redis than the private one
        return private_folder(Path(tempfile.gettempdir()) / f"lecturepulse-{os.getuid()}-serving")


@contextmanager
def _locked(folder: Path, how: int = 0) -> Iterator[None]:
    """Inside, no other process has this lock. With LOCK_NB, BlockingIOError if one has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | how)
        yield
    finally:
        os.close(descriptor)
