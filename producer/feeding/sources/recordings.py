"""Several recordings of one lecture, each of one named person, as one source. Their files start together."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import count

from producer.feeding.decoding.sampling import Sample
from producer.feeding.sources.address import SourceLabel
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.sources.recording import Recording
from producer.feeding.sources.source import Source


class Recordings(Source):
    """Opened recordings by the id of the participant whom each of them shows.

    `width` and `height` are those of the first one, `expected` is that of the longest, None if one is unknown.
    """

    live = False

    def __init__(self, recordings: Mapping[str, Recording], first: int = 0) -> None:
        """At least one recording, all opened with the same sampling rate, at frame number `first`."""
        self._recordings = dict(recordings)
        self._first = first
        opened = list(self._recordings.values())
        self.label = SourceLabel(
            shown=f"{len(opened)} recordings",
            name=", ".join(map(_named, self._recordings, opened)),
            title="-".join(recording.label.title for recording in opened),
            notice="; ".join(f"{each.label.shown} {each.label.notice}" for each in opened if each.label.notice) or None,
        )
        self.width = opened[0].width
        self.height = opened[0].height
        start = min(recording.first_tick for recording in opened)
        ends = [None if each.expected is None else each.first_tick + each.expected - start for each in opened]
        self.expected = None if None in ends else max(end for end in ends if end is not None)

    @property
    def shortfall(self) -> str | None:
        shortfalls = [
            f"{_named(participant, recording)}: {recording.shortfall}"
            for participant, recording in self._recordings.items()
            if recording.shortfall is not None
        ]
        return "; ".join(shortfalls) or None

    def frames(self, stop: threading.Event, first: int | None = None) -> Iterator[SampledFrame]:
        """The pictures frame by frame, within a frame in the order of the recordings, until all recordings are over.

        A recording that starts later, ends earlier, or cannot be read any further, has no picture then. No recording is
        decoded further ahead of the others than its decoder's pipe holds.
        """
        first = self._first if first is None else first
        # If there may be ticks at which no recording has a picture, frames are counted from the beginning.
        start = 0 if any(recording.late for recording in self._recordings.values()) else first
        running = {participant: recording.samples(stop, start) for participant, recording in self._recordings.items()}
        ahead: dict[str, Sample[bytes]] = {}
        for number in count(start):
            for participant in running.keys() - ahead.keys():
                if (sample := next(running[participant], None)) is not None:
                    ahead[participant] = sample
            running = {participant: samples for participant, samples in running.items() if participant in ahead}
            if not ahead or stop.is_set():  # it may have been set in the middle of a frame
                return
            tick = min(sample.tick for sample in ahead.values())
            for participant in running:  # in the order of the recordings
                if ahead[participant].tick == tick:
                    sample = ahead.pop(participant)
                    if number >= first:
                        recording = self._recordings[participant]
                        size = recording.width, recording.height
                        yield SampledFrame(number, sample.t, sample.picture, participant, size, sample.damaged)

    def close(self) -> None:
        with ExitStack() as closing:
            for recording in self._recordings.values():
                closing.callback(recording.close)


def _named(participant: str, recording: Recording) -> str:
    return f"{participant}={recording.label.name}"
