"""Server-sent events: answers that go on for as long as somebody reads them, of which there are only so many.

Whoever reads slowly is waited for, by nobody else: an answer's next event is made when the last one has gone.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

# Proxies and browsers give up connections on which nothing comes for a minute or so.
HEARTBEAT_S = 15.0
HEARTBEAT = b": still here\n\n"

# How long a browser waits before it comes again.
RETRY = b"retry: 2000\n\n"

# A stream costs a socket and some kilobytes; this is far more than look at the lectures of one machine.
MOST_STREAMS = 64


def message(position: str, data: bytes) -> bytes:
    """One event. `data` is a single line, and `position` what comes back as Last-Event-ID."""
    return b"id: %s\ndata: %s\n\n" % (position.encode(), data)


class Streams:
    """All answers that go on, until they are told to stop."""

    def __init__(self) -> None:
        self.open = 0
        self.stopping = False


class EventStream(StreamingResponse):
    """Sends what `events` yields; 503 where there are MOST_STREAMS already."""

    media_type = "text/event-stream"

    def __init__(self, streams: Streams, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(events, headers={"X-Accel-Buffering": "no"})  # or nginx would keep events back
        self._streams = streams
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b""})
        elif self._streams.open >= MOST_STREAMS:
            busy = PlainTextResponse("too many pages are open; close one\n", 503, {"Retry-After": "10"})
            await busy(scope, receive, send)
        else:
            self._streams.open += 1
            try:
                async with aclosing(self._events):
                    await super().__call__(scope, receive, send)
            finally:
                self._streams.open -= 1
