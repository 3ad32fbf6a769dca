"""The connections of the server: how long they may wait or stall, and how many one address may have.

A connection *waits* until the head of its next request is complete. Then it is *busy* until its client has taken the
answer. If there are too many connections, the one that has waited longest is closed, or if none waits, the one whose
client has taken nothing for longest. So idle and slow clients keep nobody out. If all are busy, further requests get
the answer 503.

Clients behind a reverse proxy have one address, that of the proxy. Headers such as X-Forwarded-For are not read,
because every client can send them. So one address may have most of the places, but not all.
"""

import asyncio
import ipaddress
import math
from collections.abc import Iterable
from typing import Any, cast

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 256
"""Connections, streams included."""

SHARE = 0.75
"""The part of all places that one address may have."""

# Seconds in which the head of a request must be complete, from the connection or the last answer on.
HEAD_S = 10.0

# Seconds in which a client must take what is sent: up to 6 MB of an answer, or the newest change of a stream.
TAKEN_S = 60.0


def full(taken: Iterable[str], address: str, places: int) -> bool:
    """Whether `address` may have no more of `places`. `taken` has the address of each place that is taken."""
    all_taken = list(taken)
    return len(all_taken) >= places or all_taken.count(address) >= SHARE * places


def address_of(scope: Scope) -> str:
    """The address of a request's client, for `full`."""
    client = scope.get("client")
    return _network(client[0]) if client else ""


def _network(host: str) -> str:
    """An IPv4 address as it is; of an IPv6 address its network of 64 bits, because a client can use all of it."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return host
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))


class Connection(H11Protocol):
    """One connection. It is closed if it waits for longer than HEAD_S, or its client takes nothing for TAKEN_S."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.app = self._answer
        self.address = ""
        # By the clock of the event loop; infinite if it does not wait, or its client takes what is sent.
        self.waiting_since = self.stalled_since = math.inf
        self._wait: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    @property
    def busy(self) -> bool:
        """Whether an answer is not complete, or not sent."""
        answering = self.cycle is not None and not self.cycle.response_complete
        return answering or self.transport.get_write_buffer_size() > 0

    def close(self) -> None:
        """Close the connection. What is written already is sent if its client takes it within TAKEN_S."""
        self._stall = self._stall or self.loop.call_later(TAKEN_S, self.transport.abort)
        self.transport.close()

    # What the event loop and uvicorn call.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.address = _network(self.client[0]) if self.client else ""
        self._begin_wait()
        self._make_room()

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before and not self.cycle.response_complete:
            self._end_wait()

    def on_response_complete(self) -> None:
        super().on_response_complete()  # it begins the next request, if its head has come already
        if self.cycle.response_complete:
            self._begin_wait()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.stalled_since = self.loop.time()
        self._stall = self._stall or self.loop.call_later(TAKEN_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self.stalled_since = math.inf
        if self._stall is not None and not self.transport.is_closing():
            self._stall.cancel()
            self._stall = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end_wait()
        if self._stall is not None:
            self._stall.cancel()

    def _begin_wait(self) -> None:
        self._end_wait()
        self.waiting_since = self.loop.time()
        self._wait = self.loop.call_later(HEAD_S, self.close)

    def _end_wait(self) -> None:
        if self._wait is not None:
            self._wait.cancel()
            self._wait = None
            self.waiting_since = math.inf

    def _others(self) -> list["Connection"]:
        return [cast(Connection, each) for each in self.connections if each is not self]

    def _make_room(self) -> None:
        """If there is no place for this connection, close the one that has waited or stalled for longest."""
        others = self._others()
        if not full((each.address for each in others), self.address, MAX_CONNECTIONS):
            return
        if len(others) < MAX_CONNECTIONS:
            others = [each for each in others if each.address == self.address]
        waiting = [each for each in others if not each.busy and not each.transport.is_closing()]
        stalled = [each for each in others if self.loop.time() - each.stalled_since > HEAD_S]
        if waiting:
            min(waiting, key=lambda each: each.waiting_since).close()
        elif stalled:
            min(stalled, key=lambda each: each.stalled_since).transport.abort()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        busy = (each.address for each in self._others() if each.busy)
        if full(busy, self.address, MAX_CONNECTIONS):
            refused = PlainTextResponse("too many requests at once; try again\n", 503, {"Retry-After": "10"})
            await refused(scope, receive, send)
        else:
            await self.config.loaded_app(scope, receive, send)
