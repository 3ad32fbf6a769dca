"""A lecture as a file: CSV, Excel or Parquet with a row for each sighting, or its events as JSON lines."""

import csv
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, NamedTuple

import redis

from producer.reading.analysis.losses import Kept, Loss
from producer.reading.analysis.names import Names, Roster, encode_named
from producer.reading.follow import replay
from producer.reading.lectures import participants, read_lecture
from producer.reading.roster import names_in
from worker.contract.messages import EMOTIONS, EmotionEvent, EndEvent, Event

COLUMNS = {
    **{"lecture": "string", "participant": "string", "frame": "int64", "t": "float64"},
    **dict.fromkeys(("x", "y", "width", "height"), "int64"),
    **{"detection": "float64", "emotion": "string"},
    **dict.fromkeys(EMOTIONS, "float64"),
    **{f"smoothed_{emotion}": "float64" for emotion in EMOTIONS},
    **{"valence": "float64", "arousal": "float64", "model_version": "string"},
    **{"readable": "bool_", "reason": "string"},
}
"""Column -> its type in Parquet. Valence and arousal are a fixed linear map of the scores."""

NAME = "name"
"""The last column, if there is a roster."""

# Rows written at once. A Parquet row group of this length compresses well and takes tens of megabytes of memory.
BATCH_ROWS = 20_000

EXCEL_ROWS = 1_048_576
"""Rows of a sheet in Excel, with the heading."""

# The places of a text where a spreadsheet may begin to read a formula: at its start, and after each character that some
# spreadsheet takes for a separator or a quote (German Excel splits a line at semicolons, whatever is quoted). Spaces
# before the formula, also invisible ones, do not hide it, nor do full-width signs (OWASP, "CSV Injection").
FORMULA = re.compile(
    r"(?:^|(?<=[,;|\t\r\n\"]))(?=[\s\u00ad\u200b-\u200f\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r\n])"
)


class ExportRefused(Exception):
    """The file cannot be written; the message says why."""


class Written(NamedTuple):
    """What was written: whether the lecture is over, and the channels with missing events."""

    over: bool
    losses: list[Loss]


def export(client: redis.Redis, lecture: str, path: Path, roster: Roster | None = None) -> Written:
    """Write the events of `lecture` to `path`, in the form of its suffix.

    With a `roster`, every row or participant's event has the participant's name in one more column or field. Each
    channel with missing events has one row (a participant's only) or line more. The file is written as a whole or not
    at all, and an existing file is never overwritten. Raises ExportRefused if `path` cannot be written or holds fewer
    rows, LectureUnknown, and RosterRefused if the roster does not fit the lecture.
    """
    check_path(path)
    found = read_lecture(client, lecture)
    if path.suffix != ".jsonl" and found.info.class_only:
        raise ExportRefused(
            f"cannot export to {str(path)!r}: it has rows of participants, and lecture {lecture} was ingested with "
            "--class-only; export to a .jsonl"
        )
    spans = participants(client, lecture)
    if path.suffix == ".xlsx" and sum(span.frames for span in spans.values()) >= EXCEL_ROWS:
        raise _too_long()
    names = names_in(client, lecture, roster) if roster is not None else None
    end: EndEvent | None = None
    kept, losses = Kept(), list[Loss]()

    def events() -> Iterator[Event | Loss]:
        nonlocal end
        for event in replay(client, lecture):
            kept.add(event)
            if isinstance(event, EndEvent):
                end = event
            else:
                yield event
        losses.extend(kept.losses(lecture, found.info, spans))
        yield from losses
        if end is not None:
            yield end

    with complete_or_absent(path) as file:
        WRITERS[path.suffix](events(), names, file)
    return Written(end is not None, losses)


def check_path(path: Path) -> None:
    """ExportRefused if an export to `path` is not possible."""
    if path.suffix not in WRITERS:
        raise ExportRefused(f"cannot export to {str(path)!r}: the name must end in {ENDINGS}")
    if path.exists():
        raise ExportRefused(f"{str(path)!r} exists already; remove it or choose another name")


def _too_long() -> ExportRefused:
    """The refusal of an Excel file for a lecture with too many rows."""
    return ExportRefused(
        f"cannot export to an .xlsx: Excel has at most {EXCEL_ROWS} rows, and the lecture needs more; export to a .csv "
        "or .parquet"
    )


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


def _write_jsonl(events: Iterable[Event | Loss], names: Names | None, file: IO[bytes]) -> None:
    for event in events:
        file.write(encode_named(event, names) + b"\n")


def _write_csv(events: Iterable[Event | Loss], names: Names | None, file: IO[bytes]) -> None:
    text = TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.DictWriter(text, _columns(names))
    writer.writeheader()
    for row in _rows(events, names):
        writer.writerow({name: plain_text(value) if isinstance(value, str) else value for name, value in row.items()})
    text.detach()  # flushes; close() would close the file too


def plain_text(text: str) -> str:
    """`text` with an apostrophe wherever a spreadsheet would read a formula."""
    return FORMULA.sub("'", text)


def _write_xlsx(events: Iterable[Event | Loss], names: Names | None, file: IO[bytes]) -> None:
    from xlsxwriter import Workbook  # late: only Excel needs it

    # Text is written as text, never as a formula, a link or a number. Rows go to the disk at once.
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with TemporaryDirectory(prefix="lecturepulse-export-") as folder:
        book = Workbook(file, {**options, "nan_inf_to_errors": True, "tmpdir": folder})
        sheet = book.add_worksheet("sightings")
        columns = list(_columns(names))
        sheet.freeze_panes(1, 0)
        sheet.write_row(0, 0, columns)
        for number, row in enumerate(_rows(events, names), 1):
            if number == EXCEL_ROWS:
                raise _too_long()
            sheet.write_row(number, 0, [row.get(name) for name in columns])
        book.close()


def _write_parquet(events: Iterable[Event | Loss], names: Names | None, file: IO[bytes]) -> None:
    import pyarrow  # late: slow to load, and only Parquet needs it
    from pyarrow.parquet import ParquetWriter

    schema = pyarrow.schema([(name, getattr(pyarrow, kind)()) for name, kind in _columns(names).items()])
    rows = _rows(events, names)
    with ParquetWriter(file, schema) as writer:
        while batch := list(islice(rows, BATCH_ROWS)):
            writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))


def _columns(names: Names | None) -> dict[str, str]:
    return COLUMNS if names is None else {**COLUMNS, NAME: "string"}


def _rows(events: Iterable[Event | Loss], names: Names | None) -> Iterator[dict[str, Any]]:
    for event in events:
        row: dict[str, Any]
        if isinstance(event, EmotionEvent):
            row = _row(event)
        elif isinstance(event, Loss) and event.participant is not None:
            row = {"lecture": event.lecture, "participant": event.participant, "emotion": event.word}
        else:
            continue
        yield row if names is None else {**row, NAME: names.of(row["participant"])}


def _row(event: EmotionEvent) -> dict[str, Any]:
    """Column -> value. Columns with the name of a field hold that field; what is missing stays empty."""
    return {
        **{name: getattr(event, name) for name in COLUMNS if hasattr(event, name)},
        "reason": event.reason or None,
        **dict(zip(("x", "y", "width", "height"), event.box, strict=True)),
        **{emotion: (event.scores or {}).get(emotion) for emotion in EMOTIONS},
        **{f"smoothed_{emotion}": (event.smoothed or {}).get(emotion) for emotion in EMOTIONS},
    }


WRITERS: dict[str, Callable[[Iterable[Event | Loss], Names | None, IO[bytes]], None]] = {
    ".csv": _write_csv,
    ".xlsx": _write_xlsx,
    ".parquet": _write_parquet,
    ".jsonl": _write_jsonl,
}

ENDINGS = " or ".join(", ".join(WRITERS).rsplit(", ", 1))
