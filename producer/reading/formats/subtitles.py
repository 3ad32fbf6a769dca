"""Moments and chapters as WebVTT, for players and editors."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import IO

from producer.reading.formats.annotations import Annotation


def write_vtt(kinds: Mapping[str, Sequence[Annotation]], file: IO[bytes]) -> None:
    """Write one cue for each annotation, in the order of their beginnings; its identifier is its kind and a number."""
    from webvtt import Caption, WebVTT  # late: only subtitles need it
    from webvtt.models import Timestamp

    named = [
        (each, f"{kind} {number}") for kind, annotations in kinds.items() for number, each in enumerate(annotations, 1)
    ]
    captions = [
        Caption(
            str(Timestamp.from_seconds(each.start)),
            str(Timestamp.from_seconds(each.end)),
            cue_text(each.text),
            identifier=name,
        )
        for each, name in sorted(named, key=lambda one: (one[0].start, -one[0].end))
    ]
    file.write(WebVTT(captions=captions).content.encode() + b"\n")


def cue_text(text: str) -> str:
    """`text` as one line of a cue: nothing in it is markup, or ends the cue."""
    return escape(" ".join(text.split()), quote=False)
