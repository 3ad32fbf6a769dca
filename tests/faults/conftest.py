"""A lecture of two people, and its events if nothing goes wrong."""

from pathlib import Path

import pytest

from tests.conftest import running_redis
from tests.faults.commands import finished, producing
from tests.faults.slides import published
from tests.gallery import render_gallery
from tests.processes import workers
from worker.contract.connection import connect
from worker.contract.messages import Event


@pytest.fixture(scope="session")
def lecture_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four seconds, which give 48 frames in three chunks."""
    path = tmp_path_factory.mktemp("lectures") / "lecture.mp4"
    render_gallery(path, people=2, seconds=24, size=(640, 360), fps=5)
    return path


@pytest.fixture(scope="session")
def published_undisturbed(lecture_video: Path) -> dict[str, list[Event]]:
    """All events of `lecture_video` by stream."""
    with running_redis() as (url, _), workers(url, 1), connect(url) as client:
        with producing("ingest", lecture_video, "--redis", url, "--lecture", "l", "--json") as ingest:
            code, _, _ = finished(ingest)
        assert code == 0
        return published(client, "l")
