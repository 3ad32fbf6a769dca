"""A bad network: a TCP proxy before a Redis that stalls, resets, and loses answers."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# SO_LINGER that closes a connection with a reset.
RESETTING = struct.pack("ii", 1, 0)


class Proxy:
    """Forwards its `port` to the Redis at a unix socket. Every disturbance affects all connections."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._forwards = threading.Event()
        self._forwards.set()
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._closed = False
        self._loses: int | None = None
        self._for_good = self._dead = False
        self._cuts = False
        self.connections = 0
        """The number of connections that were accepted."""
        self.answers = 0
        """The number of times that data came from Redis."""
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def stall(self) -> None:
        """Accept connections and bytes, but forward nothing, until `go_on`."""
        self._forwards.clear()

    def go_on(self) -> None:
        self._forwards.set()

    def reset(self) -> None:
        """Reset all connections."""
        with self._lock:
            going, self._open = self._open, []
        for each in going:
            with suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETTING)
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def cut_next_answer(self) -> None:
        """Forward half of the next answer, and then reset all connections."""
        self._cuts = True

    def lose_answer(self, number: int, for_good: bool = False) -> None:
        """Reset all connections when this answer arrives, counted from 0 and from now. Redis has executed the command.

        With `for_good` accept no further connections until the next call.
        """
        self.answers = 0
        self._loses, self._for_good, self._dead = number, for_good, False

    def close(self) -> None:
        self._closed = True
        self._forwards.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.reset()

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            far = socket.socket(socket.AF_UNIX)
            try:
                if self._dead:
                    raise ConnectionRefusedError
                far.connect(str(self._server))
            except OSError:  # Redis is away
                near.close()
                far.close()
                continue
            with self._lock:
                self._open += [near, far]
            threading.Thread(target=self._pump, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, True), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._forwards.wait()
                if answers and self._disturbed(target, data):
                    return
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _disturbed(self, target: socket.socket, data: bytes) -> bool:
        number, self.answers = self.answers, self.answers + 1
        if self._loses == number:
            self._loses, self._dead = None, self._for_good
            self.reset()
            return True
        if self._cuts:
            self._cuts = False
            target.sendall(data[: len(data) // 2])
            self.reset()
            return True
        return False


@contextmanager
def proxied(url: str) -> Iterator[Proxy]:
    """A proxy before the Redis at `url`, which is a unix socket."""
    proxy = Proxy(Path(url.removeprefix("unix://")))
    try:
        yield proxy
    finally:
        proxy.close()
