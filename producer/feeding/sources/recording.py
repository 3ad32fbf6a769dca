"""One opened recording: its size and its frames."""

import threading
from collections.abc import Iterator

from producer.feeding.decoding.sampling import Sample
from producer.feeding.decoding.wire import DecodingFailed, Ended, Opened, Sampled
from producer.feeding.sources.address import SourceLabel
from producer.feeding.sources.decoder_process import DecoderGone, DecoderProcess, DecoderSilent
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.sources.source import Source
from producer.presentation.clock import clock
from worker.contract.limits import MAX_RECORDING_S

# A working decoder reports every second. After this many seconds of silence it hangs.
SILENCE_S = 60.0


class Recording(Source):
    """An opened recording. `expected` is None if the file does not declare its length.

    If its video starts later than the file, `first_tick` is not 0. Frames count from there. If it is resumed, its
    frames begin with number `first`.
    """

    live = False
    shortfall: str | None = None

    def __init__(self, label: SourceLabel, decoder: DecoderProcess, opened: Opened, first: int = 0) -> None:
        self.label = label
        self._decoder = decoder
        self._first = first
        self.width = opened.width
        self.height = opened.height
        self.first_tick = opened.first_tick
        self.expected = opened.expected

    @property
    def decoder_pid(self) -> int:
        return self._decoder.pid

    def frames(self, stop: threading.Event) -> Iterator[SampledFrame]:
        for sample in self.samples(stop):
            number = sample.tick - self.first_tick
            if number >= self._first:
                yield SampledFrame(number, sample.t, sample.picture, damaged=sample.damaged)

    def samples(self, stop: threading.Event) -> Iterator[Sample[bytes]]:
        """The JPEGs by ticks, which count from the start of the file. Call either this or `frames`."""
        jpeg = b""
        reached = 0.0
        try:
            while (message := self._decoder.receive(SILENCE_S, stop)) is not None:
                if isinstance(message, Ended):
                    self.shortfall = message.shortfall
                    return
                if isinstance(message, Sampled):
                    if message.t > MAX_RECORDING_S:
                        self.shortfall = f"is longer than {clock(MAX_RECORDING_S)}, the limit of a recording"
                        return
                    if message.fresh:
                        jpeg = self._decoder.receive_bytes()
                    reached = message.t
                    yield Sample(message.tick, message.t, jpeg, message.damaged)
                if isinstance(message, DecodingFailed):
                    self.shortfall = f"at {clock(reached)} the file {message.reason}"
                    return
        except DecoderGone as gone:
            self.shortfall = f"the decoder crashed at {clock(reached)} ({gone}); the file is damaged"
        except DecoderSilent:
            self.shortfall = f"the decoder hangs at {clock(reached)}; the file is damaged"

    def close(self) -> None:
        self._decoder.close()
