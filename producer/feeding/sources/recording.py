"""One opened recording: its size and its frames."""

import threading
from collections.abc import Iterator

from producer.feeding.decoding.sampling import Sample
from producer.feeding.decoding.wire import DecodingFailed, Ended, Opened, Sampled
from producer.feeding.sources.address import SourceLabel
from producer.feeding.sources.excerpt import Excerpt
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.sources.lasting_decoder import DecoderFailed, LastingDecoder
from producer.feeding.sources.source import Source
from producer.presentation.clock import clock
from worker.contract.limits import MAX_RECORDING_S

# A working decoder reports every second. After this many seconds of silence it hangs.
SILENCE_S = 60.0


class Recording(Source):
    """An opened recording. `expected` is None if the file does not declare its length.

    If its video starts later than the file, or only an excerpt is read, `first_tick` is not 0. Frames count from there.
    If it is resumed, its frames begin with number `first`.
    """

    live = False
    shortfall: str | None = None
    there = ""
    """From when to when the file has pictures, if it declares its length."""

    def __init__(
        self, label: SourceLabel, decoder: LastingDecoder, opened: Opened, fps: float, first: int, excerpt: Excerpt
    ) -> None:
        """`decoder` begins with sample `first` of the excerpt. If none of it is in the file, `expected` is 0."""
        self.label = label
        self._decoder = decoder
        self._begin, self._end = excerpt.first_tick(fps), excerpt.end_tick(fps)
        self._first = first
        self._read = False
        self.width = opened.width
        self.height = opened.height
        self.first_tick = max(opened.first_tick, self._begin)
        self.expected = None
        if opened.expected is not None:
            ends = opened.first_tick + opened.expected
            self.expected = max(0, int(min(ends, self._end)) - self.first_tick)
            self.first_tick = self.first_tick if self.expected else self._begin
            self.there = f"{clock(opened.first_tick / fps)} to {clock(ends / fps)}"
        self.chapters = opened.chapters

    @property
    def late(self) -> bool:
        """Whether the video starts later than what is read."""
        return self.first_tick > self._begin

    @property
    def decoder_pid(self) -> int:
        return self._decoder.process.pid

    def frames(self, stop: threading.Event, first: int | None = None) -> Iterator[SampledFrame]:
        first = self._first if first is None else first
        for sample in self.samples(stop, first):
            number = sample.tick - self.first_tick
            if number >= first:
                yield SampledFrame(number, sample.t, sample.picture, damaged=sample.damaged)

    def samples(self, stop: threading.Event, first: int) -> Iterator[Sample[bytes]]:
        """The JPEGs from sample `first` of the excerpt on. Ticks count from the start of the file.

        Call either this or `frames`.
        """
        if self._read or first != self._first:
            self._decoder.restart(self._begin + first)
        self._read, self.shortfall = True, None
        jpeg = b""
        reached = 0.0
        try:
            while (answer := self._decoder.receive(SILENCE_S, stop))[0] is not None:
                message, fresh = answer
                if isinstance(message, Ended):
                    self.shortfall = message.shortfall
                    return
                if isinstance(message, Sampled):
                    if message.tick >= self._end:
                        return
                    if message.t > MAX_RECORDING_S:
                        self.shortfall = f"is longer than {clock(MAX_RECORDING_S)}, the limit of a recording"
                        return
                    # The decoder that continues after a crash does not know the picture before it.
                    if fresh and not (jpeg and self._decoder.in_gap):
                        jpeg = fresh
                    reached = message.t
                    yield Sample(message.tick, message.t, jpeg, message.damaged)
                if isinstance(message, DecodingFailed):
                    self.shortfall = f"at {clock(reached)} the file {message.reason}"
                    return
        except DecoderFailed as failed:
            self.shortfall = f"the decoder {failed.what} at {clock(reached)}{failed.how}; {failed.why}"

    def close(self) -> None:
        self._decoder.close()
