"""A recording, opened: its size, its length, and its frames one after the other."""

import re
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from producer.clock import clock
from producer.feeding.child import DecoderProcess, Gone, Silence
from producer.feeding.sampling import checked_fps
from producer.feeding.wire import Alive, Ended, Message, Opened, Picture, Refused

# Start of the process and first picture take 0.5 s on a machine with nothing else to do.
OPENING_S = 10.0

# A decoder at work reports every second; what is silent for so long is not slow but stuck.
SILENCE_S = 60.0

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class SourceError(Exception):
    """A source that cannot be fed; the message names it and says what to do."""


@dataclass(frozen=True)
class SampledFrame:
    """A frame as it is fed: number from 0 without gaps, media time in seconds from the first, JPEG upright."""

    frame: int
    t: float
    jpeg: bytes


def open_source(source: str, fps: float) -> "Source":
    """Open the recording `source`, a file, to be sampled `fps` times a second.

    Raises SourceError if it gives no picture within OPENING_S, ValueError if `fps` is out of range.
    """
    checked_fps(fps)
    decoder = DecoderProcess(_readable_file(source), fps)
    try:
        answer = _first_answer(decoder)
    except Silence:
        decoder.close()
        raise SourceError(f"{source}: no picture within {OPENING_S:g} s; is it on a slow disk or damaged?") from None
    except Gone as how:
        decoder.close()
        raise SourceError(f"{source}: the decoder crashed on it ({how}); the file is damaged, convert it") from None
    except BaseException:
        decoder.close()
        raise
    if not isinstance(answer, Opened):
        decoder.close()
        raise SourceError(f"{source}: {answer.reason if isinstance(answer, Refused) else 'no picture came'}")
    return Source(decoder, answer)


class Source:
    """An opened recording, and a context manager that closes it.

    `width` and `height` are pixels as displayed (turned upright, not scaled), `duration` seconds and `expected` the
    number of frames, each None if the file does not tell. `shortfall` says, once `frames` is over, in one line what is
    missing of the recording; None if all of it came.
    """

    def __init__(self, decoder: DecoderProcess, opened: Opened) -> None:
        self._decoder = decoder
        self.width = opened.width
        self.height = opened.height
        self.duration = opened.duration
        self.expected = opened.expected
        self.shortfall: str | None = None

    def __enter__(self) -> "Source":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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


def _first_answer(decoder: DecoderProcess) -> Message | None:
    never = threading.Event()
    deadline = time.monotonic() + OPENING_S
    while isinstance(answer := decoder.receive(deadline - time.monotonic(), never), Alive):
        pass
    return answer


def _readable_file(source: str) -> Path:
    """The path of a file with something in it that can be read; SourceError if there is none."""
    scheme = _SCHEME.match(source)
    if scheme:
        # The rest of the address may hold a password.
        raise SourceError(f"{scheme[0]}...: live sources are not supported yet; give a file")
    path = Path(source)
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise SourceError(f"{source}: is a folder; name a video file in it")
        if not stat.S_ISREG(found.st_mode):
            raise SourceError(f"{source}: is no file but a device or a pipe; give a file")
        if found.st_size == 0:
            raise SourceError(f"{source}: the file is empty; copy or record it again")
        path.open("rb").close()
    except FileNotFoundError:
        raise SourceError(f"{source}: no such file; check the path") from None
    except PermissionError:
        raise SourceError(f"{source}: may not be read by you; ask for the permission (chmod +r)") from None
    except (OSError, ValueError) as failure:
        raise SourceError(f"{source!r}: cannot be opened: {failure}") from None
    return path
