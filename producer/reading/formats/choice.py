"""The choice of a format, and of what its rows are about. Quick to import, for the command line."""

import sys
from pathlib import Path
from typing import Literal, get_args

from producer.reading.output_file import STANDARD_OUTPUT, ExportRefused, check_absent

Format = Literal["csv", "xlsx", "parquet", "jsonl", "vtt", "eaf"]
"""The formats, by the endings of their files."""

FORMATS: tuple[Format, ...] = get_args(Format)

ENDINGS = f"{', '.join(f'.{each}' for each in FORMATS[:-1])} or .{FORMATS[-1]}"

Kind = Literal["people", "class"]
"""What the rows of a table are about."""

KINDS: tuple[Kind, ...] = get_args(Kind)

ONE_KIND: tuple[Format, ...] = ("csv", "parquet")
"""The formats that hold one kind of rows. `.xlsx` and `.jsonl` hold both."""

BINARY: tuple[Format, ...] = ("xlsx", "parquet")

WITHOUT_ROWS: tuple[Format, ...] = ("vtt", "eaf")


def check_export(path: Path, form: Format | None, rows: Kind | None) -> Format:
    """The format of an export to `path`. ExportRefused if it is not possible."""
    form = form or next((each for each in FORMATS if path.suffix == f".{each}"), None)
    if form is None and path == STANDARD_OUTPUT:
        raise ExportRefused("standard output has no ending that says the format; add --format, such as --format csv")
    if form in BINARY and path == STANDARD_OUTPUT and sys.stdout.isatty():
        raise ExportRefused(f"{form} is not text, which a terminal needs; send standard output to a file or a program")
    if form is None:
        raise ExportRefused(f"cannot export to {str(path)!r}: the name must end in {ENDINGS}")
    if rows is not None and form in WITHOUT_ROWS:
        raise ExportRefused(f"--rows {rows} is for tables and events, and a .{form} has none; leave it out")
    check_absent(path)
    return form
