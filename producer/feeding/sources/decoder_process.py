"""The decoder's process, as its parent sees it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from multiprocessing.connection import Connection

from producer.feeding.decoding.wire import Alive, Message, Order, Target, decode_message, encode

# Without the environment's and the working folder's modules in the way; sys.path is the parent's, whole.
CHILD = "import sys; sys.path[:] = sys.argv[1:]; from producer.feeding.decoding.decoder import main; main()"

POLL_S = 0.1


class Silence(Exception):
    """The decoder said nothing for too long."""


class Gone(Exception):
    """The decoder's process is no more; the message says how it went."""


class DecoderProcess:
    """A running decoder. `close` ends it for sure.

    It is started directly and not through multiprocessing, which would import the program's main module a second time,
    and in a session of its own, so that a Ctrl-C meant for its parent does not reach it.
    """

    def __init__(
        self,
        target: Target,
        fps: float,
        screen: tuple[int, int] | None = None,
        seen: Iterable[str] = (),
        first: int = 0,
    ) -> None:
        reading, writing = os.pipe()
        self._answers = Connection(reading, writable=False)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", CHILD, *sys.path],
                stdin=subprocess.PIPE,
                # What a broken source makes a codec print is no use to anybody; every error comes as a message.
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[writing],
                start_new_session=True,
                # It reads what strangers made, and needs to know nothing of our Redis.
                env={name: value for name, value in os.environ.items() if name != "REDIS_URL"},
                bufsize=0,
            )
        except BaseException:
            self._answers.close()
            raise
        finally:
            os.close(writing)
        assert self._process.stdin is not None
        # The rest of its standard input is the line it hangs by: it ends when this end closes. If it is gone already,
        # `receive` tells.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(encode(Order(target, fps, writing, screen, list(seen), first)) + b"\n")

    @property
    def pid(self) -> int:
        return self._process.pid

    def first_answer(self, patience: float, stop: threading.Event) -> Message | None:
        """What the decoder makes of the source; else as `receive`."""
        deadline = time.monotonic() + patience
        while isinstance(answer := self.receive(deadline - time.monotonic(), stop), Alive):
            pass
        return answer

    def receive(self, patience: float, stop: threading.Event) -> Message | None:
        """The next message; None if `stop` was set first. Raises Silence after `patience` seconds, or Gone.

        The time in which this process itself is suspended does not count.
        """
        for _ in range(max(1, round(patience / POLL_S))):
            if stop.is_set():
                return None
            if self._answered():
                return decode_message(self.receive_bytes())
        raise Silence

    def receive_bytes(self) -> bytes:
        """The next message raw, which behind a fresh picture is its JPEG. Raises Gone."""
        try:
            return self._answers.recv_bytes()
        except (EOFError, OSError):
            raise Gone(self._fate()) from None

    def close(self) -> None:
        """End the process, whatever it is doing. Harmless if repeated."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._answers.close()

    def _answered(self) -> bool:
        try:
            return self._answers.poll(POLL_S)
        except OSError:
            raise Gone(self._fate()) from None

    def _fate(self) -> str:
        code = self._process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
