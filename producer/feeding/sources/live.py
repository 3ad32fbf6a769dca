"""A live source, opened: its frames as they come, connection after connection."""

import threading
import time
from collections import deque
from collections.abc import Iterator

from producer.feeding.decoding.wire import Ended, KeyFrame, Opened, Picture, Refused
from producer.feeding.sources.address import Address, Label
from producer.feeding.sources.decoder_process import DecoderProcess, Gone, Silence
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.sources.source import Closing
from producer.metrics.counters import SOURCE_RECONNECTS

GIVE_UP_S = 60.0
"""Seconds without a frame after which a live source is given up, unless somebody wishes otherwise."""

# To find the stream and wait for its first key frame.
OPENING_S = 30.0

# Sound may go on while the picture stands still. More than the READ_S of `container`, whose reason is the better one.
STALLED_S = 20.0

# A restarted encoder is back in a second; a server that is down should not be asked all the time.
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0

# So many are remembered, an hour of most streams: a web server that sends a recording without its length looks live,
# and sends it again from the beginning. Their marks, 20 bytes each, go through one pipe at once (64 KiB).
KEY_FRAMES = 2048

# Of a frame's time: milliseconds, which no stream's clock or wall clock is better than.
T_DIGITS = 3


class LiveSource(Closing):
    """An opened stream or camera, and a context manager that closes it. It reconnects when it is cut off or stalls.

    `width` and `height` are pixels as displayed at the beginning; later pictures are scaled to that. `shortfall` says,
    once `frames` is over, in one line why the source was given up; None if it was stopped, or turned out to be over.
    `trouble` is why there is no connection, None while there is one, `reconnects` counts those after the first; both
    may be read by any thread.
    """

    live = True
    duration = None
    expected = None

    def __init__(self, address: Address, fps: float, give_up_s: float, decoder: DecoderProcess, opened: Opened) -> None:
        self.label: Label = address
        self._target = address.target
        self._fps = fps
        self._give_up_s = give_up_s
        self._decoder = decoder
        self._closing = threading.Lock()
        self._closed = False
        self.width = opened.width
        self.height = opened.height
        self.shortfall: str | None = None
        self.trouble: str | None = None
        self.reconnects = 0
        # Seconds of time.monotonic().
        self._first_came: float | None = None
        self._last_came = time.monotonic()
        self._seen: deque[str] = deque(maxlen=KEY_FRAMES)
        self._next_frame = 0
        self._t = 0.0

    @property
    def decoder_pid(self) -> int:
        return self._decoder.pid

    def frames(self, stop: threading.Event) -> Iterator[SampledFrame]:
        """The frames, until `stop` is set, the source is given up, or it turns out to be over; to be called once.

        `t` is seconds since the first frame, and never goes back: within a connection by the stream's clock, from one
        to the next by the wall clock. Numbers have no gaps. To be read all the time, or the source falls behind.
        """
        self._last_came = time.monotonic()
        while True:
            yield from self._connection(stop)
            if stop.is_set() or not self._reconnected(stop):
                return

    def close(self) -> None:
        """End the decoder, for sure and at once. May be called again, and by another thread than that of `frames`."""
        with self._closing:
            self._closed = True
            self._decoder.close()

    def _connection(self, stop: threading.Event) -> Iterator[SampledFrame]:
        """The frames of this connection; why it is over is `trouble`."""
        start: float | None = None
        try:
            while (message := self._decoder.receive(self._patience(), stop)) is not None:
                if isinstance(message, Picture):
                    jpeg = self._decoder.receive_bytes()
                    self._last_came = time.monotonic()
                    if start is None:
                        start = self._start()
                    self._t = round(start + message.t, T_DIGITS)
                    yield SampledFrame(self._next_frame, self._t, jpeg)
                    self._next_frame += 1
                elif isinstance(message, KeyFrame):
                    self._seen.append(message.mark)
                elif isinstance(message, Ended):
                    self.trouble = message.shortfall or "the stream ended"
                    return
                elif self._patience() <= 0:
                    raise Silence  # only signs of life, and no picture
        except Gone as how:
            self.trouble = f"the decoder crashed ({how})"
        except Silence:
            self.trouble = f"no picture for {time.monotonic() - self._last_came:.0f} s"

    def _start(self) -> float:
        """When the first picture of a connection, which has just come, is in the time of the lecture."""
        if self._first_came is None:
            self._first_came = self._last_came
            return 0.0
        # The stream's own clock may have been ahead of the wall's, by what came in one go.
        return max(self._last_came - self._first_came, self._t + 1 / self._fps)

    def _reconnected(self, stop: threading.Event) -> bool:
        """Try until there is a connection. False if `stop` is set before, the source is over, or has to be given up."""
        pause = FIRST_PAUSE_S
        while True:
            self._decoder.close()
            if stop.wait(max(0.0, min(pause, self._left()))) or self._closed:
                return False
            if self._left() <= 0:
                self.shortfall = f"given up after {self._give_up_s:g} s without a picture: {self.trouble}"
                return False
            answer = self._tried(stop)
            if isinstance(answer, Opened):
                self._last_came = time.monotonic()  # its first picture is decoded, and on its way
                if answer.live:
                    self.trouble = None
                    self.reconnects += 1
                    SOURCE_RECONNECTS.inc()
                return answer.live  # what has become a recording is over: the list of an HLS stream was completed
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _tried(self, stop: threading.Event) -> Opened | None:
        with self._closing:
            if self._closed:
                return None
            self._decoder = DecoderProcess(self._target, self._fps, (self.width, self.height), self._seen)
        patience = min(OPENING_S, self._left())
        try:
            answer = self._decoder.first_answer(patience, stop)
        except Gone as how:
            self.trouble = f"the decoder crashed ({how})"
        except Silence:
            if patience == OPENING_S:  # the last try before it is given up is cut short, and says nothing
                self.trouble = f"no picture within {OPENING_S:g} s"
        else:
            if isinstance(answer, Opened):
                return answer
            if isinstance(answer, Refused):
                self.trouble = answer.reason.partition(";")[0]  # behind it is what to do about a wrong address
        return None

    def _left(self) -> float:
        """Seconds until the source is given up."""
        return self._last_came + self._give_up_s - time.monotonic()

    def _patience(self) -> float:
        """Seconds that this connection may still go without a picture."""
        return min(self._last_came + STALLED_S - time.monotonic(), self._left())
