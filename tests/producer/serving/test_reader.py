"""What a reader takes from Redis for the pages of a lecture."""

import asyncio
import sys

import pytest
import redis

from producer.cells.connections import one_cell
from producer.serving import reader
from producer.serving.board import Board
from producer.serving.patch import Patch
from tests.producer.reading.writing import write


def patch_of(client: redis.Redis, lecture: str) -> Patch:
    """The state of a new page when all events were read."""
    following = reader.Reader(one_cell(client), lecture)

    async def caught_up() -> None:
        polling = asyncio.create_task(following.run())
        while not following.board.patch(None).standing.caught_up:
            await following.news(following.board.edition, 10)
        polling.cancel()

    asyncio.run(caught_up())
    return following.board.patch(None)


def test_all_participants_are_shown(client: redis.Redis) -> None:
    people = {f"p{number:03}" for number in range(1, 301)}
    write(client, "l", [people] * 2)
    patch = patch_of(client, "l")
    assert {each.id for each in patch.participants} == people
    assert (patch.standing.phase, patch.standing.missing) == ("over", "")


def test_a_large_lecture_takes_the_places_of_several(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "PLACE_PARTICIPANTS", 10)
    monkeypatch.setattr(reader, "MAX_READERS", 4)
    write(client, "large", [{f"p{number:02}" for number in range(1, 31)}])

    async def play() -> None:
        readers = reader.Readers(one_cell(client))
        async with readers.of("large") as large:
            while not large.board.patch(None).standing.caught_up:
                await large.news(large.board.edition, 10)
            readers.check_room("large")
            with pytest.raises(reader.TooManyReaders, match="close the pages of one"):
                readers.check_room("other")
        readers.check_room("other")
        readers.stop()

    asyncio.run(play())


def test_a_reader_that_fails_is_reported_and_the_next_page_starts_another_one(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(client, "l", [["p01"]] * 4)
    failures: list[object] = []

    def fail(_: object) -> None:
        raise ValueError("unexpected")

    async def play() -> None:
        readers = reader.Readers(one_cell(client))
        with monkeypatch.context() as broken:
            broken.setattr(Board, "search", fail)
            async with readers.of("l") as first:
                while not first.stopped:
                    await first.news(first.board.edition, 10)
        async with readers.of("l") as second:
            assert second is not first
            while not second.board.patch(None).standing.caught_up:
                await second.news(second.board.edition, 10)
            assert not second.stopped
        readers.stop()

    monkeypatch.setattr(sys, "excepthook", lambda *failure: failures.append(str(failure[1])))
    asyncio.run(play())
    assert failures == ["unexpected"]


def test_a_reader_that_made_room_does_not_end_a_later_one_of_the_same_lecture(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MAX_READERS", 1)
    monkeypatch.setattr(reader, "LINGER_S", 0.2)

    async def play() -> None:
        readers = reader.Readers(one_cell(client))
        async with readers.of("one"):
            pass
        async with readers.of("other"):
            pass
        async with readers.of("one") as again:
            await asyncio.sleep(1)
            async with readers.of("one") as same:
                assert same is again, "it still runs"
        readers.stop()

    asyncio.run(play())
