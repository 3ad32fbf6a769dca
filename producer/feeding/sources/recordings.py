"""Several recordings of one lecture, each of one named person, as one source. Their clocks start together."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace

from producer.feeding.sources.address import SourceLabel
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.sources.recording import Recording
from producer.feeding.sources.source import Source


class Recordings(Source):
    """Opened recordings by the id of the participant whom each of them shows.

    `width` and `height` are those of the first one, `expected` is that of the longest, None if one is unknown.
    """

    live = False

    def __init__(self, recordings: Mapping[str, Recording]) -> None:
        """At least one recording, all opened with the same sampling rate."""
        self._recordings = dict(recordings)
        opened = list(self._recordings.values())
        self.label = SourceLabel(
            shown=f"{len(opened)} recordings",
            name=", ".join(map(_named, self._recordings, opened)),
            title="-".join(recording.label.title for recording in opened),
            videos="; ".join(f"{each.label.shown} {each.label.videos}" for each in opened if each.label.videos) or None,
        )
        self.width = opened[0].width
        self.height = opened[0].height
        expected = [recording.expected for recording in opened if recording.expected is not None]
        self.expected = max(expected) if len(expected) == len(opened) else None

    @property
    def shortfall(self) -> str | None:
        shortfalls = [
            f"{_named(participant, recording)}: {recording.shortfall}"
            for participant, recording in self._recordings.items()
            if recording.shortfall is not None
        ]
        return "; ".join(shortfalls) or None

    def frames(self, stop: threading.Event) -> Iterator[SampledFrame]:
        """The pictures frame by frame, within a frame in the order of the recordings, until all recordings are over.

        A recording that ends earlier, or cannot be read any further, has no picture from then on. No recording is
        decoded further ahead of the others than its decoder's pipe holds.
        """
        running = {participant: recording.frames(stop) for participant, recording in self._recordings.items()}
        while True:
            pictures = []
            for participant, frames in list(running.items()):
                picture = next(frames, None)
                if picture is None:
                    del running[participant]
                    continue
                recording = self._recordings[participant]
                size = recording.width, recording.height
                pictures.append(replace(picture, participant=participant, size=size))
            if not pictures or stop.is_set():  # it may have been set in the middle of a frame
                return
            yield from pictures

    def close(self) -> None:
        with ExitStack() as closing:
            for recording in self._recordings.values():
                closing.callback(recording.close)


def _named(participant: str, recording: Recording) -> str:
    return f"{participant}={recording.label.name}"
