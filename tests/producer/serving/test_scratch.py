"""The server's own folder: what killed servers left is removed, whatever lies there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from producer.serving import scratch


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    return scratch._parent()


def test_the_folder_of_a_killed_server_is_removed_and_that_of_a_running_one_stays(parent: Path) -> None:
    left = parent / "left"
    left.mkdir()
    with scratch.scratch_folder() as one, scratch.scratch_folder() as other:
        assert not left.exists()
        assert one.is_dir()
        assert other.is_dir()
    assert list(parent.iterdir()) == []


def test_a_file_among_the_folders_does_not_stop_a_server(parent: Path) -> None:
    (parent / "stray").write_text("no folder")
    with scratch.scratch_folder() as own:
        assert own.is_dir()


def test_a_folder_that_disappears_meanwhile_does_not_stop_a_server(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (parent / "left").mkdir()
    locked = scratch._locked

    @contextmanager
    def late(folder: Path, how: int = 0) -> Iterator[None]:
        if folder.name == "left":
            shutil.rmtree(folder)
        with locked(folder, how):
            yield

    monkeypatch.setattr(scratch, "_locked", late)
    with scratch.scratch_folder() as own:
        assert own.is_dir()
