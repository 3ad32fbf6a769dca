"""Wait for a push: listen, check the sender's key, and open its video. One sender at a time."""

import errno
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

import av
from av.container import InputContainer

from producer.feeding.decoding.container import READ_S, Unreadable
from producer.feeding.decoding.rtmp import Push, Refused
from producer.feeding.decoding.wire import PushTarget

# Seconds in which a sender must say what it publishes.
GREETING_S = 10.0

# Connections that may be without a key at the same time.
MAX_GREETING = 16

POLL_S = 0.1


def open_push(target: PushTarget) -> InputContainer:
    """The video of the first sender with the right key. Waits without limit. Raises Unreadable.

    While it pushes, nobody else can connect.
    """
    push = _first_push(target)
    try:
        # Only video is passed on, so nothing else must be waited for.
        return av.open(_File(push), "r", format="flv", options=target.options, metadata_errors="replace")
    except (av.FFmpegError, OSError) as failure:
        reason = str(getattr(failure, "strerror", None) or type(failure).__name__)
        raise Unreadable(f"the push has no readable video ({reason}); send H.264") from None


class _File:
    """The part of a push that FFmpeg may use."""

    def __init__(self, push: Push) -> None:
        self._push = push

    def read(self, size: int) -> bytes:
        try:
            return self._push.read(size)
        except TimeoutError:
            raise OSError(errno.ETIMEDOUT, f"nothing came for {READ_S:g} s") from None


def _first_push(target: PushTarget) -> Push:
    found: SimpleQueue[Push] = SimpleQueue()
    claimed = threading.Lock()  # held from the first right key on
    greeting = threading.BoundedSemaphore(MAX_GREETING)

    def greet(connection: socket.socket) -> None:
        push = Push(connection)
        late = threading.Timer(GREETING_S, connection.shutdown, [socket.SHUT_RDWR])  # also if bytes come one by one
        late.daemon = True
        late.start()
        try:
            push.accept(target.path, lambda: claimed.acquire(blocking=False))
        except (Refused, OSError, EOFError):
            connection.close()
        else:
            connection.settimeout(READ_S)
            found.put(push)
        finally:
            late.cancel()
            greeting.release()

    with _listening(target) as listener:
        while True:
            try:
                return found.get_nowait()
            except Empty:
                pass
            if not greeting.acquire(timeout=POLL_S):
                continue
            try:
                connection, _ = listener.accept()
            except OSError:  # nobody came
                greeting.release()
                continue
            connection.settimeout(GREETING_S)
            threading.Thread(target=greet, args=(connection,), daemon=True).start()


@contextmanager
def _listening(target: PushTarget) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    try:
        listener = socket.create_server((target.host, target.port), family=family)
    except OSError as failure:
        where = f"cannot listen on {target.host}, port {target.port}"
        why = "host is unknown" if isinstance(failure, socket.gaierror) else os.strerror(failure.errno or 0)
        raise Unreadable(f"{where}: {why}; give 0.0.0.0 or an address of this machine, and a free port") from None
    with listener:
        listener.settimeout(POLL_S)
        yield listener
