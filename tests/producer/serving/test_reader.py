"""What a reader takes from Redis for the pages of a lecture."""

import asyncio

import pytest
import redis

from producer.cells.connections import one_cell
from producer.serving import reader
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
