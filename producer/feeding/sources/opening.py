"""Open sources: a file, a URL or a camera, or several recordings as one."""

import threading
from collections.abc import Callable, Sequence
from functools import partial

from producer.feeding.decoding.sampling import checked_fps
from producer.feeding.decoding.wire import DecodingFailed, FileTarget, Opened, PushTarget
from producer.feeding.sources.address import Address, SourceError, address_of
from producer.feeding.sources.decoder_process import DecoderSilent
from producer.feeding.sources.excerpt import WHOLE, Excerpt
from producer.feeding.sources.lasting_decoder import DAMAGED, DecoderFailed, LastingDecoder
from producer.feeding.sources.live import GIVE_UP_S, OWN_END, LiveEnd, LiveSource
from producer.feeding.sources.live import OPENING_S as STREAM_OPENING_S
from producer.feeding.sources.recording import Recording
from producer.feeding.sources.recordings import Recordings
from producer.feeding.sources.request import SourceRequest
from producer.feeding.sources.source import Source
from producer.saying import say
from worker.contract.command_line import LogLevel

# Seconds until the first picture of a file. On an idle machine it takes 0.5 s, the start of the process included.
FILE_OPENING_S = 10.0

# The same if a file is resumed in its middle. It is first read up to there, which may be gigabytes from a slow disk.
FILE_SEARCHING_S = 120.0


def open_sources(
    requests: Sequence[SourceRequest],
    fps: float,
    give_up_s: float = GIVE_UP_S,
    first: int = 0,
    video: str | None = None,
    excerpt: Excerpt = WHOLE,
    end: LiveEnd = OWN_END,
) -> Source:
    """Open the requested sources, at least one; several recordings become one source. Arguments as of `open_source`.

    Raises SourceError if one of them cannot be opened, one of several is live, or none has pictures in the excerpt.
    """
    source: Source
    opened_at = partial(open_source, fps=fps, first=first, video=video, excerpt=excerpt)
    if len(requests) == 1:
        source = opened_at(requests[0].source, give_up_s=give_up_s, end=end)
        recordings = [source] if isinstance(source, Recording) else []
    else:
        if end.options:
            raise SourceError(f"{len(requests)} recordings: {end.options} is for live sources; leave it out")
        opened = _all_opened(requests, opened_at)
        source, recordings = Recordings(opened, first), list(opened.values())
    if source.expected == 0:
        source.close()
        there = "; ".join(f"{each.label.shown}: has pictures from {each.there}" for each in recordings)
        raise SourceError(f"{there}, and none {excerpt}; give other times")
    return source


def _all_opened(
    requests: Sequence[SourceRequest], opened_at: Callable[[str], Recording | LiveSource]
) -> dict[str, Recording]:
    """Participant -> recording. If one cannot be opened or is live, all are closed."""
    opened: dict[str, Recording] = {}
    try:
        for source, participant in requests:
            assert participant is not None, "each of several sources has a name"
            found = opened_at(source)
            if isinstance(found, LiveSource):
                found.close()
                raise SourceError(f"{found.label.shown}: is live; only recordings can be ingested together")
            opened[participant] = found
    except BaseException:
        for recording in opened.values():
            recording.close()
        raise
    return opened


def open_source(
    source: str,
    fps: float,
    give_up_s: float = GIVE_UP_S,
    first: int = 0,
    video: str | None = None,
    excerpt: Excerpt = WHOLE,
    end: LiveEnd = OWN_END,
) -> Recording | LiveSource:
    """Open `source`, a file, URL or camera, and sample it `fps` times per second.

    An http:// or https:// URL is a recording if the server declares its length in seconds or bytes. Everything else is
    live, over at its `end`, and given up after `give_up_s` seconds without a frame. The frames of a recording start
    with number `first`. Of several videos, `video` is read (its number, language or title), by default the one that a
    player shows. Of a recording, only the `excerpt` is read.

    Raises SourceError if there is no picture within 10 s (a file), `give_up_s` (a push) or 30 s, no such video, or if
    an excerpt of a live source or the `end` of a recording is wanted; ValueError if `fps` is out of range.
    """
    checked_fps(fps)
    address = address_of(source, video)
    tick = excerpt.first_tick(fps) + first
    decoder = LastingDecoder(address.target, fps, tick)
    try:
        opened = _opened(address, decoder, FILE_SEARCHING_S if tick else FILE_OPENING_S, end.shortened(give_up_s))
        address = address.reading(opened)
        if not opened.live and end.options:
            raise SourceError(
                f"{address.shown}: is a recording; {end.options} is for live sources; leave it out, or use --to"
            )
        if not opened.live:
            return Recording(address, decoder, opened, fps, first, excerpt)
        if not excerpt.whole:
            raise SourceError(f"{address.shown}: is live; --from and --to are for recordings")
    except BaseException:
        decoder.close()
        raise
    return LiveSource(address, fps, give_up_s, decoder.process, opened, end)


def _opened(address: Address, decoder: LastingDecoder, file_timeout_s: float, give_up_s: float) -> Opened:
    if isinstance(address.target, FileTarget):
        timeout_s, slow, damaged = file_timeout_s, "is it on a slow disk or damaged?", "the file is damaged, convert it"
    elif isinstance(address.target, PushTarget):
        say(f"{address.shown}: waiting for a sender, for {give_up_s:.0f} s", LogLevel.INFO)
        timeout_s, slow, damaged = give_up_s, "does the sender have the right host, port and key?", "send H.264"
    else:
        timeout_s, slow, damaged = STREAM_OPENING_S, "is it being sent?", "check whether a player shows it"
    try:
        answer = decoder.first_answer(timeout_s, threading.Event())
    except DecoderSilent:
        raise SourceError(f"{address.shown}: no picture within {timeout_s:g} s; {slow}") from None
    except DecoderFailed as failed:
        if failed.why != DAMAGED:
            raise SourceError(f"{address.shown}: {failed}") from None
        raise SourceError(f"{address.shown}: the decoder crashed on it{failed.how}; {damaged}") from None
    if isinstance(answer, Opened):
        return answer
    reason = answer.reason if isinstance(answer, DecodingFailed) else "no picture came"
    raise SourceError(f"{address.shown}: {reason}")
