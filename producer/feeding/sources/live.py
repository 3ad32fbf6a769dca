"""An opened live source: its frames as they come, over several connections."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from producer.feeding.decoding.wire import DecodingFailed, Ended, KeyFrame, Opened, PushTarget, Sampled
from producer.feeding.sources.address import Address
from producer.feeding.sources.decoder_process import DecoderGone, DecoderProcess, DecoderSilent
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.sources.source import Source
from producer.metrics.counters import SOURCE_RECONNECTS

GIVE_UP_S = 60.0
"""Default of the seconds without a frame after which a live source is given up."""

# Seconds to find the stream and wait for its first key frame.
OPENING_S = 30.0

# Seconds without a picture after which a connection is closed, because sound may continue without pictures. Longer than
# READ_S of `decoding.container`, because that error says more about the cause.
STALLED_S = 20.0

# The pause between two attempts to connect doubles from the first to the longest. A restarted encoder is back in a
# second; a server that is down should not be asked all the time.
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0

# Key frames that are remembered, an hour of most streams. A web server that sends a recording without its length looks
# live, and sends it again from the start after a reconnection. All marks (20 bytes each) must fit into a pipe (64 KiB).
KEY_FRAMES = 2048

# Decimals of a frame's time: milliseconds. No stream clock and no wall clock is better.
T_DIGITS = 3


class LiveEnd(NamedTuple):
    """When a live source is over, besides by its own end.

    `duration_s` is in seconds from its first frame, `until` in seconds since the epoch. If `is_done`, it is over once
    it is given up, and nothing is missing.
    """

    duration_s: float | None = None
    until: float | None = None
    is_done: bool = False

    @property
    def options(self) -> str:
        """The options of the command line that are used."""
        used = {"--duration": self.duration_s, "--until": self.until, "--end-is-done": self.is_done or None}
        return ", ".join(option for option, value in used.items() if value is not None)

    def shortened(self, wait_s: float) -> float:
        """Seconds to wait for its begin: `wait_s`, but not beyond `until`."""
        return wait_s if self.until is None else min(wait_s, max(0.0, self.until - time.time()))

    def seconds_left(self) -> float | None:
        """Seconds from its first frame, which comes now, to its end."""
        ends = [self.duration_s, None if self.until is None else max(0.0, self.until - time.time())]
        return min((end for end in ends if end is not None), default=None)


OWN_END = LiveEnd()


class LiveSource(Source):
    """An opened stream or camera. It reconnects when it is cut off or stalls.

    `width` and `height` are those of the first picture. `shortfall` is None if the source was stopped or has ended.
    `trouble` says why there is no connection; it is None while there is one. `last_trouble` says why the last one was
    lost, and stays. `reconnects` counts the connections after the first. Any thread may read these three.
    """

    live = True
    expected = None
    shortfall: str | None = None

    def __init__(
        self, address: Address, fps: float, give_up_s: float, decoder: DecoderProcess, opened: Opened, end: LiveEnd
    ) -> None:
        self.label = address
        self._target = address.target
        self._fps = fps
        self._give_up_s = give_up_s
        self._end = end
        self._decoder = decoder
        self._closing = threading.Lock()
        self._closed = False
        self.width = opened.width
        self.height = opened.height
        self.trouble: str | None = None
        self.last_trouble = ""
        self.reconnects = 0
        # Seconds of time.monotonic().
        self._first_came: float | None = None
        self._last_came = time.monotonic()
        self._known_key_frames: deque[str] = deque(maxlen=KEY_FRAMES)
        self._next_frame = 0
        self._t = 0.0

    @property
    def lost(self) -> bool:
        """Whether there is no connection, and that is not its normal end."""
        return self.trouble is not None and not self._end.is_done

    @property
    def decoder_pid(self) -> int:
        return self._decoder.pid

    def frames(self, stop: threading.Event, first: int | None = None) -> Iterator[SampledFrame]:
        """The frames, until `stop` is set, the source is given up, or it turns out to be over. Call it once.

        At the end that was asked for (LiveEnd), it sets `stop` itself.

        `t` is in seconds since the first frame and never decreases: by the stream's clock within a connection, by the
        wall clock from one connection to the next. Numbers have no gaps. Read it all the time, or the source falls
        behind.
        """
        self._last_came = time.monotonic()
        with _set_after(self._end.seconds_left(), stop):
            while True:
                yield from self._connection(stop)
                self.last_trouble = self.trouble or ""
                if stop.is_set() or not self._reconnected(stop):
                    return

    def close(self) -> None:
        with self._closing:
            self._closed = True
            self._decoder.close()

    def _connection(self, stop: threading.Event) -> Iterator[SampledFrame]:
        """The frames of this connection; `trouble` says why it ended."""
        start: float | None = None
        try:
            while (message := self._decoder.receive(self._timeout(), stop)) is not None:
                if isinstance(message, Sampled):
                    jpeg = self._decoder.receive_bytes()
                    self._last_came = time.monotonic()
                    if start is None:
                        start = self._start()
                    self._t = round(start + message.t, T_DIGITS)
                    yield SampledFrame(self._next_frame, self._t, jpeg, damaged=message.damaged)
                    self._next_frame += 1
                elif isinstance(message, KeyFrame):
                    self._known_key_frames.append(message.mark)
                elif isinstance(message, Ended):
                    self.trouble = message.shortfall or "the stream ended"
                    return
                elif self._timeout() <= 0:
                    raise DecoderSilent  # it reads, but no picture comes
        except DecoderGone as gone:
            self.trouble = f"the decoder crashed ({gone})"
        except DecoderSilent:
            self.trouble = f"no picture for {time.monotonic() - self._last_came:.0f} s"

    def _start(self) -> float:
        """The time in the lecture of a connection's first picture, which has just come."""
        if self._first_came is None:
            self._first_came = self._last_came
            return 0.0
        # The stream's own clock may be ahead of the wall clock, because media came in one burst.
        return max(self._last_came - self._first_came, self._t + 1 / self._fps)

    def _reconnected(self, stop: threading.Event) -> bool:
        """Try until there is a connection. False if `stop` is set before, the source is over, or it is given up."""
        pause = FIRST_PAUSE_S
        while True:
            with self._closing:  # `close` of another thread may do the same
                self._decoder.close()
            if stop.wait(max(0.0, min(pause, self._until_given_up()))) or self._closed:
                return False
            if self._until_given_up() <= 0:
                if not self._end.is_done:
                    self.shortfall = f"given up after {self._give_up_s:g} s without a picture: {self.trouble}"
                return False
            answer = self._tried(stop)
            if isinstance(answer, Opened):
                self._last_came = time.monotonic()  # its first picture is decoded, and on its way
                if answer.live:
                    self.trouble = None
                    self.reconnects += 1
                    SOURCE_RECONNECTS.inc()
                return answer.live  # a source that is now a recording is over: an HLS playlist was completed
            # A sender must not find its port closed for long.
            pause = FIRST_PAUSE_S if isinstance(self._target, PushTarget) else min(2 * pause, LONGEST_PAUSE_S)

    def _tried(self, stop: threading.Event) -> Opened | None:
        with self._closing:
            if self._closed:
                return None
            self._decoder = DecoderProcess(self._target, self._fps, self._known_key_frames)
        timeout_s = self._until_given_up()
        if not isinstance(self._target, PushTarget):  # which waits for its sender
            timeout_s = min(OPENING_S, timeout_s)
        try:
            answer = self._decoder.first_answer(timeout_s, stop)
        except DecoderGone as gone:
            self.trouble = f"the decoder crashed ({gone})"
        except DecoderSilent:
            if timeout_s == OPENING_S:  # a shorter attempt, the last before the source is given up, proves nothing
                self.trouble = f"no picture within {OPENING_S:g} s"
        else:
            if isinstance(answer, Opened):
                return answer
            if isinstance(answer, DecodingFailed):
                self.trouble = answer.reason.partition(";")[0]  # the rest is advice about a wrong address
        return None

    def _until_given_up(self) -> float:
        """Seconds until the source is given up."""
        return self._last_came + self._give_up_s - time.monotonic()

    def _timeout(self) -> float:
        """Seconds for which this connection may still go without a picture."""
        return min(self._last_came + STALLED_S - time.monotonic(), self._until_given_up())


@contextmanager
def _set_after(seconds: float | None, event: threading.Event) -> Iterator[None]:
    """Within, `event` is set after `seconds`; never if None."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), event.set)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
