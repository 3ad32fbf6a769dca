"""A lecture as a file for other programs: CSV or Parquet with a row for each sighting, or its events as JSON lines."""

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import IO, Any

import redis

from producer.reading.analysis.names import Names, Roster, encode_named
from producer.reading.follow import replay
from producer.reading.lectures import read_lecture
from producer.reading.roster import names_in
from worker.contract.messages import EMOTIONS, EmotionEvent, EndEvent, Event

COLUMNS = {
    **{"lecture": "string", "participant": "string", "frame": "int64", "t": "float64"},
    **dict.fromkeys(("x", "y", "width", "height"), "int64"),
    **{"detection": "float64", "emotion": "string"},
    **dict.fromkeys(EMOTIONS, "float64"),
    **{f"smoothed_{emotion}": "float64" for emotion in EMOTIONS},
    **{"valence": "float64", "arousal": "float64", "model_version": "string"},
}
"""Column -> its type in Parquet."""

NAME = "name"
"""The last column, if there is a roster."""

# Rows written at once. A Parquet row group of this length compresses well and takes tens of megabytes of memory.
BATCH_ROWS = 20_000


class ExportRefused(Exception):
    """The file cannot be written; the message says why."""


def export(client: redis.Redis, lecture: str, path: Path, roster: Roster | None = None) -> bool:
    """Write the events of `lecture` to `path`, in the form of its suffix; whether the lecture is over.

    With a `roster`, every row or participant's event has the participant's name in one more column or field. The file
    is written as a whole or not at all, and an existing file is never overwritten. Raises ExportRefused if `path`
    cannot be written, LectureUnknown, and RosterRefused if the roster does not fit the lecture.
    """
    check_path(path)
    if path.suffix != ".jsonl" and read_lecture(client, lecture).info.class_only:
        raise ExportRefused(
            f"cannot export to {str(path)!r}: it has rows of participants, and lecture {lecture} was ingested with "
            "--class-only; export to a .jsonl"
        )
    names = names_in(client, lecture, roster) if roster is not None else None
    over = False

    def events() -> Iterator[Event]:
        nonlocal over
        for event in replay(client, lecture):
            over = isinstance(event, EndEvent)
            yield event

    with complete_or_absent(path) as file:
        WRITERS[path.suffix](events(), names, file)
    return over


def check_path(path: Path) -> None:
    """ExportRefused if an export to `path` is not possible."""
    if path.suffix not in WRITERS:
        raise ExportRefused(f"cannot export to {str(path)!r}: the name must end in .csv, .parquet or .jsonl")
    if path.exists():
        raise ExportRefused(f"{str(path)!r} exists already; remove it or choose another name")


@contextmanager
def complete_or_absent(path: Path) -> Iterator[IO[bytes]]:
    """A file beside `path` that gets its name when it is complete."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        file = partial.open("xb")
        try:
            with file:
                yield file
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as failure:
        raise ExportRefused(f"cannot write {str(path)!r}: {failure.strerror or failure}") from None


def _write_jsonl(events: Iterable[Event], names: Names | None, file: IO[bytes]) -> None:
    for event in events:
        file.write(encode_named(event, names) + b"\n")


def _write_csv(events: Iterable[Event], names: Names | None, file: IO[bytes]) -> None:
    text = TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.DictWriter(text, _columns(names))
    writer.writeheader()
    writer.writerows(_rows(events, names))
    text.detach()  # flushes; close() would close the file too


def _write_parquet(events: Iterable[Event], names: Names | None, file: IO[bytes]) -> None:
    import pyarrow  # late: slow to load, and only Parquet needs it
    from pyarrow.parquet import ParquetWriter

    schema = pyarrow.schema([(name, getattr(pyarrow, kind)()) for name, kind in _columns(names).items()])
    rows = _rows(events, names)
    with ParquetWriter(file, schema) as writer:
        while batch := list(islice(rows, BATCH_ROWS)):
            writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))


def _columns(names: Names | None) -> dict[str, str]:
    return COLUMNS if names is None else {**COLUMNS, NAME: "string"}


def _rows(events: Iterable[Event], names: Names | None) -> Iterator[dict[str, Any]]:
    for event in events:
        if isinstance(event, EmotionEvent):
            yield _row(event) if names is None else {**_row(event), NAME: names.of(event.participant)}


def _row(event: EmotionEvent) -> dict[str, Any]:
    """Column -> value. Columns with the name of a field hold that field; scores that are missing stay empty."""
    return {
        **{name: getattr(event, name) for name in COLUMNS if hasattr(event, name)},
        **dict(zip(("x", "y", "width", "height"), event.box, strict=True)),
        **{emotion: event.scores.get(emotion) for emotion in EMOTIONS},
        **{f"smoothed_{emotion}": event.smoothed.get(emotion) for emotion in EMOTIONS},
    }


WRITERS: dict[str, Callable[[Iterable[Event], Names | None, IO[bytes]], None]] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".jsonl": _write_jsonl,
}
