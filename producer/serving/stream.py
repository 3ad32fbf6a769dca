"""Server-sent events: answers that last as long as a client reads them, limited in number.

An answer makes its next event after the last one was sent. So a slow client delays only itself.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from producer.serving.connections import address_of, full

# Proxies and browsers close connections that are silent for about a minute.
HEARTBEAT_S = 15.0
HEARTBEAT = b": still here\n\n"

# Milliseconds after which a browser reconnects.
RETRY = b"retry: 2000\n\n"

# A stream costs a socket and a few kilobytes. One machine's lectures have far fewer open pages.
MAX_STREAMS = 64


def message(position: str, data: bytes) -> bytes:
    """One event. `data` is a single line; the client sends `position` back as Last-Event-ID."""
    return b"id: %s\ndata: %s\n\n" % (position.encode(), data)


class Streams:
    """The open streams: the address of each one's client, and whether they must stop."""

    def __init__(self) -> None:
        self.open: list[str] = []
        self.stopping = False


class EventStream(StreamingResponse):
    """Sends what `events` yields; 503 if there are MAX_STREAMS already, or too many of one address."""

    media_type = "text/event-stream"

    def __init__(self, streams: Streams, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(events, headers={"X-Accel-Buffering": "no"})  # or nginx would buffer events
        self._streams = streams
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = address_of(scope)
        if scope["method"] == "HEAD":
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b""})
        elif full(self._streams.open, address, MAX_STREAMS):
            busy = PlainTextResponse("too many pages are open; close one\n", 503, {"Retry-After": "10"})
            await busy(scope, receive, send)
        else:
            self._streams.open.append(address)
            try:
                async with aclosing(self._events):
                    await super().__call__(scope, receive, send)
            finally:
                self._streams.open.remove(address)
