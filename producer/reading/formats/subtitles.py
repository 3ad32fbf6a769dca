"""Moments and chapters as WebVTT, for players and editors."""

import re
from collections.abc import Iterable
from html import escape
from typing import IO

from producer.reading.formats.span import Span


def write_vtt(spans: Iterable[Span], file: IO[bytes]) -> None:
    """Write one cue for each span, in the order of their beginnings."""
    from webvtt import Caption, WebVTT  # late: only subtitles need it
    from webvtt.models import Timestamp

    captions = [
        Caption(str(Timestamp.from_seconds(each.start)), str(Timestamp.from_seconds(each.end)), cue_text(each.text))
        for each in sorted(spans, key=lambda each: (each.start, -each.end))
    ]
    file.write(WebVTT(captions=captions).content.encode() + b"\n")


def cue_text(text: str) -> str:
    """`text` as one line of a cue: nothing in it is markup or ends the cue."""
    return escape(re.sub(r"\s+", " ", text).strip(), quote=False)
