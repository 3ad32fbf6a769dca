import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import children


@pytest.fixture(autouse=True)
def no_decoder_is_left() -> Iterator[None]:
    yield
    assert [pid for pid in children(os.getpid()) if is_decoder(pid)] == []


def is_decoder(pid: int) -> bool:
    """Whether the process lives and is a decoder."""
    try:
        return b"producer.feeding.decoding.decoder" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
