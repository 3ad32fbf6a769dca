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

from producer.feeding.decoding.wire import Alive, Decoding, Message, Order, SenderRefused, Target, decode_message
from producer.saying import say
from worker.contract.messages import encode

# Python ignores the environment's and the working folder's modules (-I); the parent passes its own sys.path.
CHILD = "import sys; sys.path[:] = sys.argv[1:]; from producer.feeding.decoding.decoder import main; main()"

POLL_S = 0.1

# Signals that a process gets for an error of its own.
CRASHES = frozenset({"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSYS", "SIGTRAP", "SIGXCPU", "SIGXFSZ"})


class DecoderSilent(Exception):
    """The decoder sent nothing for too long."""


class DecoderGone(Exception):
    """The decoder's process ended; the message says with which signal or exit code.

    `killed`: a signal from outside ended it, none of CRASHES. `odd`: it ended with an exit code. That should not
    happen, because errors of a source come as messages.
    """

    def __init__(self, signal_or_code: str) -> None:
        super().__init__(signal_or_code)
        self.odd = not signal_or_code.startswith("SIG")
        self.killed = not self.odd and signal_or_code not in CRASHES


class DecoderProcess:
    """A running decoder. `close` ends it in any case.

    It is started directly and not through multiprocessing, which would import the program's main module again. It has a
    session of its own, so that a Ctrl-C for its parent does not reach it.
    """

    def __init__(
        self,
        target: Target,
        fps: float,
        known_key_frames: Iterable[str] = (),
        first: int = 0,
        crashed: int | None = None,
    ) -> None:
        reading, writing = os.pipe()
        self._answers = Connection(reading, writable=False)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", CHILD, *sys.path],
                stdin=subprocess.PIPE,
                # A broken source makes codecs print a lot. Every error comes as a message.
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[writing],
                start_new_session=True,
                # It reads files of strangers, and needs none of our settings: some hold credentials.
                env={
                    name: value
                    for name, value in os.environ.items()
                    if name != "REDIS_URL" and not name.startswith(("AWS_", "LECTUREPULSE_"))
                },
                bufsize=0,
            )
        except BaseException:
            self._answers.close()
            raise
        finally:
            os.close(writing)
        assert self._process.stdin is not None
        # Its standard input stays open: the child ends when this end closes. If the child is gone already, `receive`
        # raises.
        order = Order(target, fps, writing, list(known_key_frames), first, crashed)
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(encode(order) + b"\n")

    @property
    def pid(self) -> int:
        return self._process.pid

    def first_answer(self, timeout_s: float, stop: threading.Event) -> Message | None:
        """The first message that is not `Alive` or `Decoding`; otherwise as `receive`."""
        deadline = time.monotonic() + timeout_s
        while isinstance(answer := self.receive(deadline - time.monotonic(), stop), Alive | Decoding):
            pass
        return answer

    def receive(self, timeout_s: float, stop: threading.Event) -> Message | None:
        """The next message; None if `stop` is set first. Raises DecoderSilent after `timeout_s`, or DecoderGone.

        The time during which this process itself is suspended does not count.
        """
        for _ in range(max(1, round(timeout_s / POLL_S))):
            if stop.is_set():
                return None
            if self._answered():
                message = decode_message(self.receive_bytes())
                if not isinstance(message, SenderRefused):
                    return message
                say(f"a push was refused: {message.why}")
        raise DecoderSilent

    def receive_bytes(self) -> bytes:
        """The next message as bytes: after a fresh sample its JPEG. Raises DecoderGone."""
        try:
            return self._answers.recv_bytes()
        except (EOFError, OSError):
            raise DecoderGone(self._exit()) from None

    def close(self) -> None:
        """Kill the process. May be called again."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._answers.close()

    def _answered(self) -> bool:
        try:
            return self._answers.poll(POLL_S)
        except OSError:
            raise DecoderGone(self._exit()) from None

    def _exit(self) -> str:
        code = self._process.wait()
        if code >= 0:
            return f"exit code {code}"
        return signal.Signals(-code).name if -code in set(signal.Signals) else f"SIG{-code}"  # a real-time signal
