"""Sends messages to a webhook, in a thread of its own, until the receiver has taken them."""

import heapq
import http.client
import secrets
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import msgspec

from producer.notifying.webhook import Webhook

# Seconds for a receiver to answer; the specification says 15 to 30.
ANSWER_S = 15.0

# Seconds between two attempts of a message: the first pause, twice as long after each attempt, and the longest one.
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0

GONE = 410
"""The status with which a receiver says that it wants no more messages."""

UNWANTED = f"it answers with status {GONE}: it wants no more messages"
"""The last `trouble` of a Sender."""


class Sender:
    """Sends messages until it is closed. A message that is not taken is sent again with the same id.

    `trouble` is why the last attempt failed, None if it did not. `gone` is whether the receiver wants no more messages.
    """

    def __init__(self, webhook: Webhook) -> None:
        self.trouble: str | None = None
        self._webhook = webhook
        self._due: list[tuple[float, int, _Message]] = []  # a heap
        self._count = 0
        self._sending = False
        self._closed = False
        self._changed = threading.Condition()
        # A proxy of the environment is used for https only: it would see the messages to this machine.
        proxies = [] if webhook.url.startswith("https:") else [urllib.request.ProxyHandler({})]
        self._opener = urllib.request.build_opener(_NoRedirect, _Http, _Https, *proxies)
        threading.Thread(target=self._run, name="webhook", daemon=True).start()

    @property
    def gone(self) -> bool:
        return self.trouble == UNWANTED

    def send(self, kind: str, data: dict[str, Any]) -> None:
        """Send a message of this type, as soon as possible. Returns at once."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = msgspec.json.encode({"type": kind, "timestamp": now, "data": data})
        with self._changed:
            self._put(_Message(f"msg_{secrets.token_hex(12)}", body), 0.0)

    def flush(self, seconds: float) -> bool:
        """Wait until all messages were taken, at most for `seconds`; whether they were."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._due and not self._sending, seconds)

    def close(self) -> None:
        """Send nothing any more. An attempt that is running ends in the background."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _put(self, message: "_Message", pause_s: float) -> None:
        if not self.gone:
            self._count += 1
            heapq.heappush(self._due, (time.monotonic() + pause_s, self._count, message))
        self._changed.notify_all()

    def _run(self) -> None:
        while (message := self._next()) is not None:
            trouble = self._attempt(message)
            with self._changed:
                self.trouble, self._sending = trouble, False
                if self.gone:
                    self._due.clear()
                if trouble is not None:
                    self._put(message, min(FIRST_PAUSE_S * 2 ** min(message.attempts, 16), LONGEST_PAUSE_S))
                    message.attempts += 1
                self._changed.notify_all()

    def _next(self) -> "_Message | None":
        """Wait for the next message that is due. None if the sender was closed."""
        with self._changed:
            while not self._closed:
                pause = self._due[0][0] - time.monotonic() if self._due else None
                if pause is not None and pause <= 0:
                    self._sending = True
                    return heapq.heappop(self._due)[2]
                self._changed.wait(pause)
            return None

    def _attempt(self, message: "_Message") -> str | None:
        """Send a message; why it was not taken, None if it was."""
        headers = self._webhook.headers(message.id, int(time.time()), message.body)
        request = urllib.request.Request(self._webhook.url, message.body, headers, method="POST")
        try:
            with self._opener.open(request, timeout=ANSWER_S):
                return None
        except urllib.error.HTTPError as answer:
            answer.close()
            return UNWANTED if answer.code == GONE else f"it answers with status {answer.code}"
        except urllib.error.URLError as failure:
            return str(failure.reason)
        except Exception as failure:  # whatever it is, the message is sent again
            return str(failure) or type(failure).__name__


@dataclass
class _Message:
    id: str
    body: bytes
    attempts: int = 0


class _Punctual(http.client.HTTPConnection):
    """A connection on which status and headers must come within ANSWER_S, also if they come byte by byte."""

    def getresponse(self) -> http.client.HTTPResponse:
        late = threading.Event()

        def cut() -> None:
            late.set()
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(ANSWER_S, cut)
        timer.start()
        try:
            return super().getresponse()
        finally:
            timer.cancel()
            if late.is_set():
                raise TimeoutError(f"it does not answer within {ANSWER_S:g} s")


class _PunctualSecure(_Punctual, http.client.HTTPSConnection):
    pass


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Punctual, request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_PunctualSecure, request)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None
