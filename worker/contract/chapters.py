"""The chapters of a lecture: titled parts, each of which ends where the next begins. Pure."""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct

MAX_CHAPTERS = 500
"""Chapters of a lecture: one every three minutes of a day."""

MAX_TITLE_LENGTH = 120
"""Characters of a title. Longer ones are cut."""

MAX_CHAPTER_S = 2.0**40

# Joiners that are not printable, but that some scripts need inside words.
_JOINERS = "\u200c\u200d"


class Chapter(Struct, frozen=True):
    """A chapter: it begins at `t` seconds of media time."""

    t: Annotated[float, Meta(ge=0, le=MAX_CHAPTER_S)]
    title: Annotated[str, Meta(min_length=1, max_length=MAX_TITLE_LENGTH)]


Chapters = Annotated[list[Chapter], Meta(max_length=MAX_CHAPTERS)]


def in_order(found: Iterable[tuple[float, str]]) -> list[Chapter]:
    """Chapters from (seconds, title), by time; ValueError if there are more than MAX_CHAPTERS.

    Titles become printable text of one line; an empty one becomes `chapter N`. Of chapters that begin together, the
    last one counts. Times before 0 become 0.
    """
    titles = {min(max(t, 0.0), MAX_CHAPTER_S): title for t, title in found}
    if len(titles) > MAX_CHAPTERS:
        raise ValueError(f"{len(titles)} chapters; a lecture may have {MAX_CHAPTERS}")
    return [
        Chapter(t, _printable(title) or f"chapter {number}")
        for number, (t, title) in enumerate(sorted(titles.items()), 1)
    ]


def _printable(title: str) -> str:
    shown = "".join(each if each.isprintable() or each in _JOINERS else " " for each in title)
    line = " ".join(shown.split())
    return line if len(line) <= MAX_TITLE_LENGTH else f"{line[: MAX_TITLE_LENGTH - 1].rstrip()}…"
