"""What a reader takes from Redis for the pages of a lecture."""

import asyncio

import pytest
import redis

from producer.serving import reader
from producer.serving.board import Patch
from tests.producer.reading.writing import write


def patch_of(client: redis.Redis, lecture: str) -> Patch:
    """The state of a new page when all events were read."""
    following = reader.Reader(client, lecture)

    async def caught_up() -> None:
        polling = asyncio.create_task(following.run())
        while not following.board.patch(None).standing.caught_up:
            await following.news(following.board.edition, 10)
        polling.cancel()

    asyncio.run(caught_up())
    return following.board.patch(None)


def test_participants_beyond_the_limit_of_a_page_do_not_count_as_lost(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MAX_SHOWN_PARTICIPANTS", 1)
    write(client, "l", [{"p01", "p02"}] * 3)
    patch = patch_of(client, "l")
    assert [each.id for each in patch.participants] == ["p01"]
    assert (patch.standing.phase, patch.standing.missing) == ("over", "")
