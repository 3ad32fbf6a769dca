"""Live streams on loopback: processes that publish with PyAV and can be stalled, resumed and cut; and servers.

`python -m tests.streams URL FORMAT WIDTH HEIGHT STEP [OPTION=VALUE ...]` publishes an endless film in real time.
"""

import itertools
import os
import random
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import av

from tests.producer.feeding.films import numbered

FPS = 25
SIZE = (320, 240)
_PORTS = random.Random()


def free_port() -> int:
    """A port below those that the kernel gives to connections, so that none takes it before its server listens."""
    while True:
        port = _PORTS.randrange(10_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Publisher:
    """A process that publishes within this context, or until `cut`. Pictures count up, or with `step` -1 down."""

    def __init__(
        self, url: str | Path, format: str, size: tuple[int, int] = SIZE, step: int = 1, **options: object
    ) -> None:
        words = [url, format, *size, step, *(f"{name}={value}" for name, value in options.items())]
        self._command = [sys.executable, "-m", "tests.streams", *map(str, words)]

    def __enter__(self) -> "Publisher":
        self._process = subprocess.Popen(
            self._command,
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,  # it ends when this closes
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()

    def stall(self) -> None:
        """Keep the connection and send nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def cut(self) -> None:
        self._process.kill()
        self._process.communicate()


def publish(
    output: Any, format: str, size: tuple[int, int] = SIZE, options: dict[str, str] | None = None, step: int = 1
) -> None:
    """Write pictures that show their number, one key frame per second, until the receiver is gone."""
    with av.open(output, "w", format=format, options=options or {}) as container:
        stream = container.add_stream(
            "libx264", rate=FPS, options={"preset": "ultrafast", "tune": "zerolatency", "g": str(FPS)}
        )
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        begun = time.monotonic()
        for number in itertools.count():
            time.sleep(max(0.0, begun + number / FPS - time.monotonic()))
            frame = av.VideoFrame.from_ndarray(numbered(step * number % 256, *size), "bgr24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))


@contextmanager
def served_folder(folder: Path) -> Iterator[str]:
    """The URL of a web server for `folder`."""
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def served_stream(format: str, options: dict[str, str] | None = None) -> Iterator[str]:
    """The URL of a web server that sends an endless film without a length."""

    class Endless(Quiet):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with suppress(OSError, av.FFmpegError):
                publish(self.wfile, format, options=options)

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Endless)) as port:
        yield f"http://127.0.0.1:{port}/live"


@contextmanager
def silent_server() -> Iterator[tuple[int, list[bytes]]]:
    """A server that accepts connections and never answers: its port, and the first bytes of each connection."""
    received: list[bytes] = []

    class Silent(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            received.append(self.request.recv(2000))
            self.request.recv(1)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with serving(Server(("127.0.0.1", 0), Silent)) as port:
        yield port, received


@contextmanager
def rtsp_server() -> Iterator[str]:
    """The URL of a minimal RTSP server (RFC 2326) over TCP, for user `me` with password `SECRET`."""

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while line := self.rfile.readline().decode():
                request = {"": line, **dict(iter(lambda: self._header(), ("", "")))}
                self._answer(line.split()[0], request)

        def _header(self) -> tuple[str, str]:
            name, _, value = self.rfile.readline().decode().strip().partition(": ")
            return name, value

        def _answer(self, method: str, request: dict[str, str]) -> None:
            if "Authorization" not in request:
                self._reply(request, "401 Unauthorized", 'WWW-Authenticate: Basic realm="r"\r\n')
            elif method == "DESCRIBE":
                sdp = (
                    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
                )
                sdp += "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n"
                self._reply(request, "200 OK", f"Content-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n", sdp)
            elif method == "SETUP":
                self._reply(request, "200 OK", "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n")
            else:
                self._reply(request, "200 OK", "Session: 1\r\nPublic: DESCRIBE, SETUP, PLAY\r\n")
            if method == "PLAY":
                self._play()

        def _reply(self, request: dict[str, str], status: str, headers: str, body: str = "") -> None:
            self.wfile.write(f"RTSP/1.0 {status}\r\nCSeq: {request['CSeq']}\r\n{headers}\r\n{body}".encode())

        def _play(self) -> None:
            """Send FFmpeg's RTP packets within this connection (section 10.12)."""
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packets:
                packets.bind(("127.0.0.1", 0))
                url = f"rtp://127.0.0.1:{packets.getsockname()[1]}?pkt_size=1200"
                with Publisher(url, "rtp"), suppress(OSError):
                    while packet := packets.recv(2000):
                        self.wfile.write(b"$\0" + len(packet).to_bytes(2, "big") + packet)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with serving(Server(("127.0.0.1", 0), Session)) as port:
        yield f"rtsp://me:SECRET@127.0.0.1:{port}/camera"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[int]:
    """The port of this server, which runs in a thread."""
    with server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    url, format, width, height, step, *options = sys.argv[1:]
    given = dict(option.split("=", 1) for option in options)
    publish(url, format, (int(width), int(height)), given, int(step))
