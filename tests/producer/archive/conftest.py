"""Archives: a folder, and a bucket of a real S3 server that a test may stop."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.producer.archive.s3 import Store, credentials, running_store
from tests.producer.commands.conftest import video


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An archive whose name has characters that mean something in a URL."""
    path = tmp_path / "Archiv für 50% & mehr?#1"
    path.mkdir()
    return path


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    for name, value in credentials().items():
        monkeypatch.setenv(name, value)
    with running_store() as running:
        yield running


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest) -> str:
    """The address of an empty archive, of each kind."""
    if request.param == "folder":
        return str(request.getfixturevalue("folder"))
    return str(request.getfixturevalue("store").address("bucket/Vorlesungen%20für%20alle"))


__all__ = ["video"]
