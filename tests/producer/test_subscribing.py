"""The producer's face for programs, and the notebook that uses it."""

import json
import os
from pathlib import Path

import pytest
import redis

from producer import follow, lectures
from producer.reading.lectures import LectureUnknown
from tests.gallery import render_gallery
from tests.producer.reading.writing import write
from worker.contract.connection import RedisUnusable
from worker.contract.messages import EmotionEvent, EndEvent

NOTEBOOK = Path(__file__).parents[2] / "docs" / "lecture.ipynb"


def test_a_program_follows_and_lists_lectures_by_url_by_client_and_by_the_environment(
    redis_url: str, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = write(client, "l", [["p01", "p02"]] * 3)
    monkeypatch.setenv("REDIS_URL", redis_url)
    for where in (redis_url, client, None):
        assert list(follow("l", where)) == published
        assert [(each.id, each.participants) for each in lectures(where)] == [("l", 2)]
    own = list(follow("l", client, participant="p02"))
    assert {type(each) for each in own} == {EmotionEvent, EndEvent}
    assert len(own) == 4
    assert [type(each) for each in follow("l", client, from_start=False)] == [EndEvent]


def test_what_cannot_be_followed_is_an_exception_of_one_line(client: redis.Redis) -> None:
    with pytest.raises(LectureUnknown, match="there is no lecture 'no'"):
        next(follow("no", client))
    with pytest.raises(ValueError, match="a/b"):
        next(follow("a/b", client))
    with pytest.raises(RedisUnusable, match="cannot reach Redis"):
        lectures("unix:///nowhere/redis.sock")
    with pytest.raises(ValueError, match="the client has decode_responses=True"):
        lectures(redis.Redis(decode_responses=True))
    with pytest.raises(ValueError, match="int is neither a URL nor"):
        lectures(6379)  # type: ignore[arg-type]


def test_the_notebook_leads_from_a_recording_to_a_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", str(Path.cwd())]))
    monkeypatch.chdir(tmp_path)
    render_gallery(tmp_path / "lecture.mp4", seconds=12)
    names: dict[str, object] = {}
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    faces = names["faces"]
    assert isinstance(faces, pandas.DataFrame)
    assert len(faces) == 48
    assert set(faces["participant"]) == {"p01", "p02"}
    assert (tmp_path / "class.png").stat().st_size > 1000
