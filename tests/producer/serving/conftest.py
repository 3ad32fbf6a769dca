"""One server for all tests of a module; the Redis behind it is emptied before every test."""

from collections.abc import Iterator

import pytest

from tests.producer.serving.server import serving


@pytest.fixture(scope="module")
def server(redis_server: str) -> Iterator[str]:
    """The address of a server of all lectures, without the slash at its end."""
    with serving(redis_server) as address:
        yield address.rstrip("/")


@pytest.fixture
def site(server: str, redis_url: str) -> str:
    """The same, with nothing in its Redis."""
    return server
