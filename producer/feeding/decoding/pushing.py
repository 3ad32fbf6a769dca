"""Wait for a push: listen, check the sender's key, and open its video. One sender at a time."""

import errno
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from queue import Empty, SimpleQueue

import av
from av.container import InputContainer

from producer.feeding.decoding.container import READ_S, Unreadable, reason_of
from producer.feeding.decoding.rtmp import Push, Refused
from producer.feeding.decoding.wire import PushTarget

# Seconds in which a sender must say what it publishes.
GREETING_S = 10.0

# Connections that may be without a key at the same time.
MAX_GREETING = 16

POLL_S = 0.1

# Seconds in which the same refusal is reported once. A scanner may come all the time.
REFUSED_EVERY_S = 30.0


class CannotListen(Unreadable):
    """No sender can come."""


@contextmanager
def open_push(target: PushTarget, refused: Callable[[str], None]) -> Iterator[InputContainer]:
    """Within, the video of the first sender with the right key. Waits without limit. Raises Unreadable, CannotListen.

    While it pushes, nobody else can connect. `refused` is called with the reason why a sender was refused.
    """
    with closing(_first_push(target, refused)) as push:
        try:
            # Only video is passed on, so nothing else must be waited for.
            container = av.open(FileOfPush(push), "r", format="flv", options=target.options, metadata_errors="replace")
        except (av.FFmpegError, OSError) as failure:
            raise Unreadable(f"it has no readable video ({reason_of(failure)}); send H.264") from None
        yield container


class FileOfPush:
    """The part of a push that FFmpeg may use."""

    def __init__(self, push: Push) -> None:
        self._push = push
        self._failure: OSError | None = None

    def read(self, size: int) -> bytes:
        """As Push.read. FFmpeg reads again after an error, and reports the last one, so the first one is kept."""
        if self._failure is None:
            try:
                return self._push.read(size)
            except TimeoutError:
                self._failure = OSError(errno.ETIMEDOUT, f"nothing came for {READ_S:g} s")
            except OSError as failure:
                self._failure = failure
        raise self._failure


def _first_push(target: PushTarget, refused: Callable[[str], None]) -> Push:
    found: SimpleQueue[Push | str] = SimpleQueue()
    silent_until: dict[str, float] = {}
    claimed = threading.Lock()  # held from a right key on, until its connection breaks
    greeting = threading.BoundedSemaphore(MAX_GREETING)

    def greet(connection: socket.socket) -> None:
        push = Push(connection)
        late = threading.Timer(GREETING_S, connection.shutdown, [socket.SHUT_RDWR])  # also if bytes come one by one
        late.daemon = True
        late.start()
        try:
            push.accept(target.path, lambda: claimed.acquire(blocking=False))
        except (Refused, OSError, EOFError) as why:
            push.close()
            if push.accepted:  # its connection broke before it got the answer
                claimed.release()
            if isinstance(why, Refused):
                found.put(str(why))
        else:
            connection.settimeout(READ_S)
            found.put(push)
        finally:
            late.cancel()
            greeting.release()

    with _listening(target) as listener:
        while True:
            with suppress(Empty):
                came = found.get_nowait()
                if isinstance(came, Push):
                    return came
                if time.monotonic() >= silent_until.get(came, 0.0):
                    silent_until[came] = time.monotonic() + REFUSED_EVERY_S
                    refused(came)
                continue
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
        raise CannotListen(f"{where}: {why}; give 0.0.0.0 or an address of this machine, and a free port") from None
    with listener:
        listener.settimeout(POLL_S)
        yield listener
