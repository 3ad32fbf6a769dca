"""Rows as CSV, Excel or Parquet."""

import csv
import re
from collections.abc import Iterable
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from producer.reading.analysis.losses import Loss
from producer.reading.formats.rows import Rows
from producer.reading.output_file import ExportRefused
from worker.contract.messages import Event

# Rows written at once. A Parquet row group of this length compresses well and takes tens of megabytes of memory.
BATCH_ROWS = 20_000

EXCEL_ROWS = 1_048_576
"""Rows of a sheet in Excel, with the heading."""

SHEETS = {"people": "sightings", "class": "class"}
"""Kind of rows -> the name of their sheet in Excel."""

# The places of a text where a spreadsheet may begin to read a formula: at its start, and after each character that some
# spreadsheet takes for a separator or a quote (German Excel splits a line at semicolons, whatever is quoted). Spaces
# before the formula, also invisible ones, do not hide it, nor do full-width signs (OWASP, "CSV Injection").
FORMULA = re.compile(
    r"(?:^|(?<=[,;|\t\r\n\"]))(?=[\s\u00ad\u200b-\u200f\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r\n])"
)


def write_csv(events: Iterable[Event | Loss], rows: Rows, file: IO[bytes]) -> None:
    """Write the rows of one kind."""
    (kind,) = rows.kinds
    text = TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.DictWriter(text, rows.columns(kind))
    writer.writeheader()
    for _, row in rows.of(events):
        writer.writerow({name: plain_text(value) if isinstance(value, str) else value for name, value in row.items()})
    text.detach()  # flushes; close() would close the file too


def plain_text(text: str) -> str:
    """`text` with an apostrophe wherever a spreadsheet would read a formula."""
    return FORMULA.sub("'", text)


def write_xlsx(events: Iterable[Event | Loss], rows: Rows, file: IO[bytes]) -> None:
    """Write a sheet for each kind of rows."""
    from xlsxwriter import Workbook  # late: only Excel needs it

    # Text is written as text, never as a formula, a link or a number. Rows go to the disk at once.
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    # Until the file is complete, a row takes about 1.8 kB in the folder: too much for a container's /tmp in memory.
    beside = Path(file.name).parent if isinstance(file.name, str) else None
    with TemporaryDirectory(prefix=".lecturepulse-export-", dir=beside) as folder:
        book = Workbook(file, {**options, "nan_inf_to_errors": True, "tmpdir": folder})
        columns = {kind: list(rows.columns(kind)) for kind in rows.kinds}
        sheets = {kind: book.add_worksheet(SHEETS[kind]) for kind in rows.kinds}
        for kind, sheet in sheets.items():
            sheet.freeze_panes(1, 0)
            sheet.write_row(0, 0, columns[kind])
        written = dict.fromkeys(rows.kinds, 1)
        for kind, row in rows.of(events):
            if written[kind] == EXCEL_ROWS:
                raise too_long()
            sheets[kind].write_row(written[kind], 0, [row.get(name) for name in columns[kind]])
            written[kind] += 1
        book.close()


def too_long() -> ExportRefused:
    """The refusal of an Excel file for a lecture with too many rows."""
    return ExportRefused(
        f"cannot export to an .xlsx: Excel has at most {EXCEL_ROWS} rows, and the lecture needs more; export to a .csv "
        "or .parquet"
    )


def write_parquet(events: Iterable[Event | Loss], rows: Rows, file: IO[bytes]) -> None:
    """Write the rows of one kind."""
    import pyarrow  # late: slow to load, and only Parquet needs it
    from pyarrow.parquet import ParquetWriter

    (kind,) = rows.kinds
    schema = pyarrow.schema([(name, getattr(pyarrow, type_)()) for name, type_ in rows.columns(kind).items()])
    made = (row for _, row in rows.of(events))
    with ParquetWriter(file, schema) as writer:
        while batch := list(islice(made, BATCH_ROWS)):
            writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))
