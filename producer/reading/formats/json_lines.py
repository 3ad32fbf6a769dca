"""Events as JSON lines."""

from collections.abc import Iterable
from typing import IO

from producer.reading.analysis.losses import Loss
from producer.reading.analysis.names import Names, encode_named
from producer.reading.formats.choice import Kind
from worker.contract.messages import ClassEvent, EmotionEvent, Event, SlideEvent


def write_jsonl(events: Iterable[Event | Loss], kinds: tuple[Kind, ...], names: Names | None, file: IO[bytes]) -> None:
    """Write one line for each event of these kinds, and the end."""
    for event in events:
        if _kind(event) in (None, *kinds):
            file.write(encode_named(event, names) + b"\n")


def _kind(event: Event | Loss) -> Kind | None:
    """The kind of rows that the event belongs to; None for both."""
    if isinstance(event, ClassEvent | SlideEvent) or (isinstance(event, Loss) and event.participant is None):
        return "class"
    return "people" if isinstance(event, EmotionEvent | Loss) else None
