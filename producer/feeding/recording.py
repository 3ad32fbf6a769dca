"""A recording, opened: its size, its length, and its frames one after the other."""

import threading
from collections.abc import Iterator

from producer.feeding.address import Label
from producer.feeding.child import DecoderProcess, Gone, Silence
from producer.feeding.closing import Closing
from producer.feeding.frame import SampledFrame
from producer.feeding.wire import Ended, Opened, Picture, Refused
from producer.presentation.clock import clock
from worker.contract.limits import MAX_RECORDING_S

# A decoder at work reports every second; what is silent for so long is not slow but stuck.
SILENCE_S = 60.0


class Recording(Closing):
    """An opened recording, and a context manager that closes it.

    `width` and `height` are pixels as displayed (turned upright, not scaled), `duration` seconds and `expected` the
    number of frames, each None if the file does not tell. `shortfall` says, once `frames` is over, in one line what is
    missing of the recording; None if all of it came.
    """

    live = False

    def __init__(self, label: Label, decoder: DecoderProcess, opened: Opened) -> None:
        self.label = label
        self._decoder = decoder
        self.width = opened.width
        self.height = opened.height
        self.duration = opened.duration
        self.expected = opened.expected
        self.shortfall: str | None = None

    @property
    def decoder_pid(self) -> int:
        return self._decoder.pid

    def frames(self, stop: threading.Event) -> Iterator[SampledFrame]:
        """The frames, until the recording ends or `stop` is set; to be called once.

        A decoder that crashes or hangs ends them too, and is told by `shortfall`.
        """
        jpeg = b""
        reached = 0.0
        try:
            while (message := self._decoder.receive(SILENCE_S, stop)) is not None:
                if isinstance(message, Ended):
                    self.shortfall = message.shortfall
                    return
                if isinstance(message, Picture):
                    if message.t > MAX_RECORDING_S:
                        self.shortfall = f"is longer than {clock(MAX_RECORDING_S)}, the longest a recording may be"
                        return
                    if message.fresh:
                        jpeg = self._decoder.receive_bytes()
                    reached = message.t
                    yield SampledFrame(message.frame, message.t, jpeg)
                if isinstance(message, Refused):
                    self.shortfall = f"at {clock(reached)} the file {message.reason}"
                    return
        except Gone as how:
            self.shortfall = f"the decoder crashed at {clock(reached)} ({how}); the file is damaged"
        except Silence:
            self.shortfall = f"the decoder hangs at {clock(reached)}; the file is damaged"

    def close(self) -> None:
        """End the decoder, for sure and at once. May be called again, and by another thread than that of `frames`."""
        self._decoder.close()
