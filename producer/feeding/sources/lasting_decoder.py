"""A decoder of a recording that is started again when its process dies."""

import threading
import time

from producer.feeding.decoding.wire import Alive, Decoding, Message, Sampled, Target
from producer.feeding.sources.decoder_process import DecoderGone, DecoderProcess, DecoderSilent
from producer.metrics.counters import DECODER_RESTARTS
from producer.saying import say

# A decoder is started again after at most this many failures in a row without a frame. A job has the same limit for
# dead workers.
MAX_FAILURES = 9

# The pause after a killed decoder doubles from the first to the longest. A machine without memory needs time.
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0

DAMAGED = "the file is damaged"


class DecoderFailed(Exception):
    """Decoding cannot continue: the decoder `what` (crashed, hangs, was killed), `how` (in parentheses), and `why`."""

    def __init__(self, what: str, how: str, why: str) -> None:
        super().__init__(f"the decoder {what}{how}; {why}")
        self.what = what
        self.how = how
        self.why = why


class LastingDecoder:
    """A decoder from sample `first` on. `close` ends it in any case.

    A decoder that was killed is started again where it stood. One that crashed or hangs continues with the next key
    frame. Meanwhile it is `in_gap`, and its samples are damaged.
    """

    def __init__(self, target: Target, fps: float, first: int) -> None:
        self._target = target
        self._fps = fps
        self._next = first
        self._key: int | None = None
        self._crashed: int | None = None
        self._failures = 0
        self._closing = threading.Lock()
        self._closed = False
        self.in_gap = False
        self._started = time.monotonic()
        self.process = DecoderProcess(target, fps, first=first)

    def restart(self, first: int) -> None:
        """Start again with sample `first`."""
        self._next, self._crashed, self._failures, self.in_gap = first, None, 0, False
        self._restart()

    def first_answer(self, timeout_s: float, stop: threading.Event) -> Message | None:
        """The first message that is not `Alive` or `Decoding`; None if `stop` is set first.

        Raises DecoderSilent after `timeout_s` (of the last process), or DecoderFailed.
        """
        while True:
            try:
                answer, _ = self._received(self._started + timeout_s - time.monotonic(), stop)
            except DecoderGone as gone:
                self._replace(gone, stop)
            else:
                if not isinstance(answer, Alive | Decoding):
                    return answer

    def receive(self, timeout_s: float, stop: threading.Event) -> tuple[Message | None, bytes]:
        """The next message, and the JPEG of a fresh sample. The message is None if `stop` is set first.

        After `timeout_s` without a message the decoder hangs. Raises DecoderFailed.
        """
        while True:
            try:
                return self._received(timeout_s, stop)
            except (DecoderGone, DecoderSilent) as trouble:
                self._replace(trouble, stop)

    def close(self) -> None:
        """End the process. May be called again, and by another thread."""
        with self._closing:
            self._closed = True
            self.process.close()

    def _received(self, timeout_s: float, stop: threading.Event) -> tuple[Message | None, bytes]:
        message = self.process.receive(timeout_s, stop)
        jpeg = self.process.receive_bytes() if isinstance(message, Sampled) and message.fresh else b""
        if isinstance(message, Sampled):
            self._next, self._failures = message.tick + 1, 0
            self.in_gap = self.in_gap and message.damaged
        elif isinstance(message, Decoding):
            self._key = message.packet
        return message, jpeg

    def _replace(self, trouble: DecoderGone | DecoderSilent, stop: threading.Event) -> None:
        """Start another process, or raise DecoderFailed."""
        self._failures += 1
        how = "" if isinstance(trouble, DecoderSilent) else f" ({trouble})"
        if isinstance(trouble, DecoderGone) and trouble.killed:
            if self._failures > MAX_FAILURES:
                raise DecoderFailed(f"was killed {self._failures} times", how, "is there enough memory?")
            say(f"the decoder was killed{how}; starting it again where it stood")
            stop.wait(min(FIRST_PAUSE_S * 2 ** (self._failures - 1), LONGEST_PAUSE_S))
        else:
            # If it did not reach a later key frame than before the last crash, a picture is not the cause.
            further = self._key is not None and (self._crashed is None or self._key > self._crashed)
            if not further or self._failures > MAX_FAILURES:
                odd = isinstance(trouble, DecoderGone) and trouble.odd
                why = "if other files fail too, install LecturePulse again" if odd else DAMAGED
                raise DecoderFailed("crashed" if how else "hangs", how, why)
            say(f"the decoder {'crashed' if how else 'hangs'}{how}; starting it again at the next key frame")
            self._crashed, self.in_gap = self._key, True
        DECODER_RESTARTS.inc()
        self._restart()

    def _restart(self) -> None:
        self.process.close()
        with self._closing:
            if self._closed:
                raise DecoderFailed("was ended", "", "its source was closed")
            self._key, self._started = None, time.monotonic()
            self.process = DecoderProcess(self._target, self._fps, first=self._next, crashed=self._crashed)
