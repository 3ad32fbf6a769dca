"""Several recordings of one lecture, each of one named person, as one source; their clocks begin together."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace

from producer.feeding.sources.address import Label
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.sources.recording import Recording
from producer.feeding.sources.source import Closing


class Recordings(Closing):
    """Opened recordings by the id of the participant whom each shows, and a context manager that closes them.

    As `Recording`: `width` and `height` are the first one's, `expected` is that of the longest, None if one is unknown.
    """

    live = False

    def __init__(self, recordings: Mapping[str, Recording]) -> None:
        """Of at least one recording, all opened to be sampled at the same rate."""
        self._recordings = dict(recordings)
        opened = list(self._recordings.values())
        self.label = Label(
            shown=f"{len(opened)} recordings",
            name=", ".join(map(_named, self._recordings, opened)),
            title="-".join(recording.label.title for recording in opened),
        )
        self.width = opened[0].width
        self.height = opened[0].height
        expected = [recording.expected for recording in opened if recording.expected is not None]
        self.expected = max(expected) if len(expected) == len(opened) else None

    @property
    def shortfall(self) -> str | None:
        """Once `frames` is over: of every recording of which something is missing, what; None if all of all came."""
        shortfalls = [
            f"{_named(participant, recording)}: {recording.shortfall}"
            for participant, recording in self._recordings.items()
            if recording.shortfall is not None
        ]
        return "; ".join(shortfalls) or None

    def frames(self, stop: threading.Event) -> Iterator[SampledFrame]:
        """The pictures frame by frame, within a frame in the order of the recordings; to be called once.

        Until all recordings are over, or `stop` is set: one that ends earlier, or cannot be read any further, has no
        picture from then on. No recording is decoded further ahead of the others than its decoder's pipe holds.
        """
        going = {participant: recording.frames(stop) for participant, recording in self._recordings.items()}
        while True:
            pictures = []
            for participant, frames in list(going.items()):
                picture = next(frames, None)
                if picture is None:
                    del going[participant]
                    continue
                recording = self._recordings[participant]
                size = recording.width, recording.height
                pictures.append(replace(picture, participant=participant, size=size))
            if not pictures or stop.is_set():  # which may have come in the middle of a frame
                return
            yield from pictures

    def close(self) -> None:
        """End all decoders, for sure and at once. May be called again, and by another thread than that of `frames`."""
        with ExitStack() as closing:
            for recording in self._recordings.values():
                closing.callback(recording.close)


def _named(participant: str, recording: Recording) -> str:
    return f"{participant}={recording.label.name}"
