"""A receiver of webhooks that fails as it is told, and verifies what it takes."""

import base64
import hmac
import json
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import trustme

KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
DROP, HANG, DRIP = 0, -1, -2


class Receiver:
    """Answers with `statuses`, one after the other, then with 200. `seen` has all ids, `taken` what it accepted."""

    def __init__(self, statuses: Sequence[int] = ()) -> None:
        self.statuses = list(statuses)
        self.seen: list[str] = []
        self.taken: list[dict[str, Any]] = []
        self.url = ""
        self.end = threading.Event()

    def of(self, kind: str) -> list[Any]:
        return [each["data"] for each in self.taken if each["type"] == kind]


@contextmanager
def receiving(*statuses: int, port: int = 0, authority: trustme.CA | None = None) -> Iterator[Receiver]:
    """A receiver on loopback; with an `authority` by https."""
    receiver = Receiver(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            id, timestamp = self.headers["webhook-id"], self.headers["webhook-timestamp"]
            signed = hmac.new(KEY, f"{id}.{timestamp}.".encode() + body, "sha256").digest()
            assert self.headers["webhook-signature"] == f"v1,{base64.b64encode(signed).decode()}"
            receiver.seen.append(id)
            status = receiver.statuses.pop(0) if receiver.statuses else 200
            if status == HANG:
                receiver.end.wait()
            if status == DRIP:
                with suppress(OSError):
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                    while not receiver.end.wait(0.05):
                        self.wfile.write(b"a")
            if status in (DROP, HANG, DRIP):
                self.close_connection = True
                return
            if status == 200:
                receiver.taken.append(json.loads(body))
            self.send_response(status)
            self.send_header("location", "/elsewhere")
            self.end_headers()

        def do_GET(self) -> None:
            raise AssertionError("a redirection was followed")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        if authority is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            authority.issue_cert("127.0.0.1").configure_cert(context)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "http" if authority is None else "https"
        receiver.url = f"{scheme}://127.0.0.1:{server.server_port}/hook?token=geheim123"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        try:
            yield receiver
        finally:
            receiver.end.set()
            server.shutdown()
