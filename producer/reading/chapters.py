"""A file of chapters: WebVTT, SRT, or lines like `0:00 Title`. A transcript becomes a chapter for every few minutes.

A transcript has a cue for every few seconds of speech. As chapters they would be useless, so its cues are joined, and
the first words of each part are its title.
"""

import re
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

from producer.reading.small_file import read_small
from worker.contract.chapters import Chapter, in_order

MAX_FILE_BYTES = 4 * 2**20
"""A transcript of ten hours of speech has 1 MB."""

# Cues that come faster than this are speech, not chapters, if there are at least this many.
SPEECH_S = 30.0
LEAST_CUES_OF_SPEECH = 12

# A part of a transcript is this long, and ends at the longest pause within SEARCH_S around.
PART_S = 300.0
SEARCH_S = 60.0

# Words of a part's title.
TITLE_WORDS = 8

_TIME = r"(?:(\d{1,3}):)?([0-5]?\d):([0-5]\d)(?:[.,](\d{1,3}))?"
_CUE = re.compile(rf"\s*{_TIME}\s+-->\s+{_TIME}(?:\s.*)?")
_LINE = re.compile(rf"\s*[(\[]?{_TIME}[)\]]?(?:\s*[-:|\u2013\u2014]\s+|\s+)(\S.*)")
_TAG = re.compile(r"<[^>]*>")


class ChaptersRefused(Exception):
    """A file of chapters that cannot be used; the message names it and says why."""


class ChapterFile(NamedTuple):
    """The chapters in a file, and a line for the user if it is a transcript."""

    chapters: list[Chapter]
    notice: str | None = None


class _Cue(NamedTuple):
    start: float
    end: float
    text: str


def read_chapters(path: Path) -> ChapterFile:
    """The chapters in the file at `path`; ChaptersRefused if it cannot be used."""
    try:
        return _chapters(_text(path), path)
    except ValueError as wrong:
        raise ChaptersRefused(f"chapters {str(path)!r}: {wrong}") from None


def _text(path: Path) -> str:
    try:
        return read_small(path, MAX_FILE_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        raise ValueError(f"is not UTF-8 text (byte {wrong.start}); save it as UTF-8") from None


def _chapters(text: str, path: Path) -> ChapterFile:
    lines = text.splitlines()
    cued = text.startswith("WEBVTT") or any("-->" in line for line in lines)
    cues = _cues(lines) if cued else []
    found = [(cue.start, cue.text) for cue in cues] if cued else _titled(lines)
    if not found:
        raise ValueError("has no chapters; give a WebVTT or SRT file, or lines like `0:00 Title`")
    if not _is_speech(cues):
        return ChapterFile(in_order(found))
    parts = _parts(cues)
    notice = (
        f"{path}: looks like a transcript ({len(cues)} cues); it is divided into {len(parts)} chapters of about "
        f"{PART_S / 60:.0f} minutes, named by their first words"
    )
    return ChapterFile(in_order(parts), notice)


def _titled(lines: list[str]) -> list[tuple[float, str]]:
    """(seconds, title) of lines like `0:00 Title`."""
    found: list[tuple[float, str]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"line {number} is {line.strip()[:60]!r}; each line must be like `0:00 Title`")
        t = _seconds(*match.groups()[:4])
        if found and t <= found[-1][0]:
            raise ValueError(f"line {number} is not later than the one before: {line.strip()[:60]!r}")
        found.append((t, match[5]))
    return found


def _cues(lines: list[str]) -> list[_Cue]:
    """The cues of WebVTT or SRT, by time. A cue ends with an empty line."""
    cues: list[_Cue] = []
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if "-->" not in line:
            continue  # a header, a note, a style, or the name of a cue
        match = _CUE.fullmatch(line)
        if match is None:
            raise ValueError(
                f"line {number} is {line.strip()[:60]!r}; times must be like `00:01:30.000 --> 00:02:00.000`"
            )
        words = []
        while number < len(lines) and lines[number].strip():
            words.append(_TAG.sub("", lines[number]))
            number += 1
        start, end = _seconds(*match.groups()[:4]), _seconds(*match.groups()[4:])
        cues.append(_Cue(start, max(start, end), " ".join(words)))
    return sorted(cues)


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    return 3600 * int(hours or 0) + 60 * int(minutes) + int(seconds) + (float(f"0.{fraction}") if fraction else 0.0)


def _is_speech(cues: list[_Cue]) -> bool:
    gaps = [later.start - cue.start for cue, later in pairwise(cues)]
    return len(cues) >= LEAST_CUES_OF_SPEECH and median(gaps) < SPEECH_S


def _parts(cues: list[_Cue]) -> list[tuple[float, str]]:
    """(begin, first words) of the parts of a transcript."""
    first, borders = 0, [0]
    while True:
        due = cues[first].start + PART_S
        near = [n for n in range(first + 1, len(cues)) if abs(cues[n].start - due) <= SEARCH_S]
        later = [n for n in range(first + 1, len(cues)) if cues[n].start > due]
        if not later:
            break
        # The pause in tenths of a second; of equal ones, the nearest to the time that is due.
        pauses = {n: (round(10 * (cues[n].start - cues[n - 1].end)), -abs(cues[n].start - due)) for n in near}
        first = max(pauses, key=lambda n: pauses[n]) if near else later[0]
        borders.append(first)
    return [(cues[n].start, _first_words(cues, n)) for n in borders]


def _first_words(cues: list[_Cue], first: int) -> str:
    words = " ".join(cue.text for cue in cues[first : first + TITLE_WORDS]).split()
    more = "…" if len(words) > TITLE_WORDS else ""
    return f"“{' '.join(words[:TITLE_WORDS])}{more}”"
