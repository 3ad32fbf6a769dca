import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_decoder_is_left() -> Iterator[None]:
    yield
    assert [pid for pid in map(int, _children()) if is_decoder(pid)] == []


def is_decoder(pid: int) -> bool:
    """Whether the process lives and is a decoder."""
    try:
        return b"producer.feeding.decoding.decoder" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _children() -> list[str]:
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            if f"PPid:\t{os.getpid()}\n" in status.read_text():
                found.append(status.parent.name)
    return found
