"""Clients that hold many connections and send or read nothing keep nobody else out."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
import redis

from producer.serving.connections import MAX_CONNECTIONS, SHARE, full
from tests.processes import eventually
from tests.producer.reading.writing import begin, class_, commit

MANY = 300
"""More than a server has places."""

REQUEST = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"


@contextmanager
def connected(site: str, number: int, sending: bytes, source: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
    """Connections of one client, on each of which `sending` was sent, and which read nothing."""
    parts = urlsplit(site)
    with ExitStack() as opened:
        sockets = []
        for _ in range(number):
            connection = opened.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(60)
            connection.bind((source, 0))
            connection.connect((parts.hostname, parts.port))
            connection.sendall(sending)
            sockets.append(connection)
        yield sockets


def status(site: str, path: str = "/api/lectures", source: str = "127.0.0.1") -> int:
    """The status of a request on a connection of its own, from this address."""
    with httpx.Client(transport=httpx.HTTPTransport(local_address=source), timeout=60) as client:
        return client.get(site + path).status_code


def closed(connection: socket.socket) -> bool:
    """Whether the server has closed the connection."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize(
    "sending",
    [b"", b"GET / HT", REQUEST[:-2] % b"/", REQUEST % b"/", (REQUEST[:-2] % b"/") + b"Content-Length: 99\r\n\r\n"],
    ids=["nothing", "half a line", "half a head", "a request", "half a body"],
)
def test_idle_and_slow_connections_keep_nobody_out(site: str, redis_url: str, sending: bytes) -> None:
    with connected(site, MANY, sending):
        eventually(lambda: status(site) == 200)  # all of these requests may be in work at the same time
        for _ in range(5):
            assert status(site) == 200, "from the same address"
            assert status(site, source="127.0.0.2") == 200
            assert status(site, "/static/page.css") == 200


def test_a_head_that_is_never_complete_is_not_waited_for(site: str, redis_url: str) -> None:
    over = threading.Event()

    def drip(connections: list[socket.socket]) -> None:
        while not over.wait(0.5):
            for each in connections:
                try:
                    each.send(b"x")
                except OSError:
                    return

    with (
        connected(site, 1, b"") as silent,
        connected(site, 1, b"GET /") as slow,
        connected(site, 1, (REQUEST[:-2] % b"/") + b"Content-Length: 9999\r\n\r\n") as slow_body,
    ):
        dripping = [threading.Thread(target=drip, args=(each,)) for each in (slow, slow_body)]
        for each in dripping:
            each.start()
        try:
            assert all(closed(each) for each in (*silent, *slow, *slow_body))
        finally:
            over.set()
            for each in dripping:
                each.join()


def test_clients_that_do_not_read_their_answers_keep_nobody_out(site: str, client: redis.Redis) -> None:
    begin(client, "l")
    commit(client, "l", [class_("l", frame, 1) for frame in range(1000)])  # more than the sockets take
    with connected(site, int(SHARE * MAX_CONNECTIONS) + 20, REQUEST % b"/api/lectures/l/class/events"):
        assert status(site, source="127.0.0.2") == 200
        eventually(lambda: status(site) == 200)


def test_one_request_after_the_other_on_one_connection(site: str, redis_url: str) -> None:
    with httpx.Client(timeout=60) as browser:
        assert {browser.get(f"{site}/api/lectures").status_code for _ in range(20)} == {200}
    twice = REQUEST % b"/api/lectures" + (REQUEST[:-2] % b"/api/lectures") + b"Connection: close\r\n\r\n"
    with connected(site, 1, twice) as (pipelined,):
        received = b""
        while some := pipelined.recv(65536):
            received += some
    assert received.count(b"HTTP/1.1 200") == 2


def test_one_address_has_most_of_the_places_and_not_all() -> None:
    assert not full(["a"] * 191, "a", 256)
    assert full(["a"] * 192, "a", 256)
    assert not full(["a"] * 192, "b", 256)
    assert full(["a"] * 192 + ["b"] * 64, "c", 256)
