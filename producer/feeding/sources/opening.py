"""A source, opened, whatever it is."""

import threading
from collections.abc import Sequence

from producer.feeding.decoding.sampling import checked_fps
from producer.feeding.decoding.wire import FileTarget, Opened, Refused
from producer.feeding.sources.address import Address, SourceError, address_of
from producer.feeding.sources.decoder_process import DecoderProcess, Gone, Silence
from producer.feeding.sources.live import GIVE_UP_S, LiveSource
from producer.feeding.sources.live import OPENING_S as STREAM_OPENING_S
from producer.feeding.sources.recording import Recording
from producer.feeding.sources.recordings import Recordings
from producer.feeding.sources.request import SourceRequest

# Start of the process and first picture take 0.5 s on a machine with nothing else to do.
FILE_OPENING_S = 10.0
# One that is wanted from its middle on is read as far as that before: some gigabytes from a slow disk.
FILE_SEARCHING_S = 120.0

Source = Recording | Recordings | LiveSource


def open_sources(requests: Sequence[SourceRequest], fps: float, give_up_s: float = GIVE_UP_S, first: int = 0) -> Source:
    """Open what is asked for, at least one source, to be sampled `fps` times a second; several recordings as one.

    Recordings give their frames from the one with the number `first` on.

    Raises SourceError where one of them cannot be opened, as `open_source` does, or one of several is live.
    """
    if len(requests) == 1:
        return open_source(requests[0].source, fps, give_up_s, first)
    opened: dict[str, Recording] = {}
    try:
        for source, participant in requests:
            assert participant is not None, "of several sources each has a name"
            opened[participant] = _open_recording(source, fps, first)
    except BaseException:
        for recording in opened.values():
            recording.close()
        raise
    return Recordings(opened)


def open_source(source: str, fps: float, give_up_s: float = GIVE_UP_S, first: int = 0) -> Recording | LiveSource:
    """Open `source`, a file, URL or camera, to be sampled `fps` times a second.

    A URL of http:// or https:// is a recording if the server tells how long what it has there is, in seconds or bytes;
    anything else is live, and given up after `give_up_s` seconds without a frame. A recording gives its frames from the
    one with the number `first` on.
    Raises SourceError if it gives no picture within 10 s (a file) or 30 s, ValueError if `fps` is out of range.
    """
    checked_fps(fps)
    address = address_of(source)
    decoder = DecoderProcess(address.target, fps, first=first)
    try:
        opened = _opened(address, decoder, FILE_SEARCHING_S if first else FILE_OPENING_S)
    except BaseException:
        decoder.close()
        raise
    if opened.live:
        return LiveSource(address, fps, give_up_s, decoder, opened)
    return Recording(address, decoder, opened)


def _open_recording(source: str, fps: float, first: int) -> Recording:
    opened = open_source(source, fps, first=first)
    if isinstance(opened, LiveSource):
        opened.close()
        raise SourceError(f"{opened.label.shown}: is live; only recordings can be ingested together")
    return opened


def _opened(address: Address, decoder: DecoderProcess, file_patience: float) -> Opened:
    if isinstance(address.target, FileTarget):
        patience, slow, damaged = file_patience, "is it on a slow disk or damaged?", "the file is damaged, convert it"
    else:
        patience, slow, damaged = STREAM_OPENING_S, "is it being sent?", "see whether a player shows it"
    try:
        answer = decoder.first_answer(patience, threading.Event())
    except Silence:
        raise SourceError(f"{address.shown}: no picture within {patience:g} s; {slow}") from None
    except Gone as how:
        raise SourceError(f"{address.shown}: the decoder crashed on it ({how}); {damaged}") from None
    if isinstance(answer, Opened):
        return answer
    raise SourceError(f"{address.shown}: {answer.reason if isinstance(answer, Refused) else 'no picture came'}")
