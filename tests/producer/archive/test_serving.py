"""The page and its API, for a lecture that is only in the archive."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from producer.archive.archive import Archive
from producer.archive.lecture import ArchivedLecture
from producer.archive.table import Row
from producer.cells.connections import one_cell
from producer.reading.archiving import archive_lecture
from producer.reading.choosing import store_of
from producer.serving import channel
from tests.processes import called
from tests.producer.archive.test_archiving import over
from tests.producer.serving.server import serving
from worker.contract.keys import LectureKeys


@pytest.fixture
def site(client: redis.Redis, redis_url: str, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """A server, and what it answered before its Redis was emptied."""
    over(client)
    with serving(redis_url, "--archive", str(folder)) as address:
        site = address.rstrip("/")
        before = {path: answer(site + path) for path in PATHS}
        assert called("archive", "--redis", redis_url, "--archive", folder)[0] == 0
        client.flushall()
        yield site, before


PATHS = (
    "/api/lectures",
    "/api/lectures/l",
    "/api/lectures/l/participants",
    "/api/lectures/l/class/events?limit=7",
    "/api/lectures/l/participants/p02/events",
    "/lectures/l/export.csv",
)


def answer(address: str) -> Any:
    found = httpx.get(address, timeout=60)
    assert found.status_code == 200, found.text
    return found.json() if "json" in found.headers["content-type"] else found.text


def test_every_address_answers_as_before(site: tuple[str, dict[str, Any]]) -> None:
    address, before = site
    for path, was in before.items():
        assert answer(address + path) == was, path
    assert "<title>" in answer(f"{address}/lectures/l")
    page = before["/api/lectures/l/class/events?limit=7"]
    following = answer(f"{address}/api/lectures/l/class/events?limit=7&since={page['next']}")
    assert following["events"][0]["event"]["frame"] == 7
    missing = httpx.get(f"{address}/api/lectures/l/participants/p09/events", timeout=60)
    assert (missing.status_code, missing.json()["error"]) == (404, "lecture 'l' has no participant 'p09'")


def test_the_stream_of_events_comes_to_its_end(site: tuple[str, dict[str, Any]]) -> None:
    address = f"{site[0]}/api/lectures/l/participants/p02/events"
    headers = {"accept": "text/event-stream"}
    lines = httpx.get(address, headers=headers, timeout=60).text.splitlines()
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert (len(events), events[-1]["type"]) == (41, "end")
    last = next(line.removeprefix("id: ") for line in reversed(lines) if line.startswith("id: "))
    assert httpx.get(address, headers={**headers, "last-event-id": last}, timeout=60).status_code == 204


def test_the_page_forgets_a_lecture_in_the_archive_too(site: tuple[str, dict[str, Any]], folder: Path) -> None:
    assert httpx.delete(f"{site[0]}/api/lectures/l", timeout=60).status_code == 204
    assert list(folder.iterdir()) == []


def test_an_archive_that_is_away_leaves_what_redis_has(
    site: tuple[str, dict[str, Any]], client: redis.Redis, folder: Path
) -> None:
    over(client, "k")
    (folder / "l.parquet").write_bytes(b"damaged")
    listed = answer(f"{site[0]}/api/lectures")
    assert ([each["id"] for each in listed["lectures"]], listed["down"]) == (["k"], ["the archive's file of l"])
    damaged = httpx.get(f"{site[0]}/lectures/l", timeout=60)
    assert (damaged.status_code, "is damaged" in damaged.text) == (503, True)
    assert httpx.get(f"{site[0]}/api/lectures/l", timeout=60).status_code == 409
    (folder / "l.parquet").unlink()
    folder.rmdir()
    listed = answer(f"{site[0]}/api/lectures")
    assert ([each["id"] for each in listed["lectures"]], listed["down"]) == (["k"], ["the archive"])
    assert "<title>" in answer(f"{site[0]}/lectures/k")
    away = httpx.get(f"{site[0]}/lectures/l", timeout=60)
    assert (away.status_code, "there is no such folder" in away.text) == (503, True)
    away = httpx.get(f"{site[0]}/api/lectures/l", timeout=60)
    assert (away.status_code, "there is no such folder" in away.json()["error"]) == (503, True)


def test_a_stream_of_events_reads_the_file_once(
    client: redis.Redis, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over(client)
    archive = Archive(str(folder))
    archive_lecture(client, archive, "l")
    client.flushall()
    store = store_of(one_cell(client, archive), "l")
    reads: list[str] = []
    rows = ArchivedLecture.rows

    def counted(lecture: ArchivedLecture) -> Iterator[Row]:
        reads.append(lecture.id)
        return rows(lecture)

    monkeypatch.setattr(ArchivedLecture, "rows", counted)
    monkeypatch.setattr(channel, "STEP", 10)

    async def events() -> list[tuple[str, bytes] | None]:
        return [each async for each in channel.follow_channel(channel.Channel(store, LectureKeys("l"), "p02"), "0")]

    assert (len(asyncio.run(events())), reads) == (41, ["l"])
