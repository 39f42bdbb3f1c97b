"""Write pages of cells as CSV, in chunks of bytes and in constant memory.

The text is UTF-8 with a byte order mark, so that Excel recognises it. Where a spreadsheet program would begin a
formula, an apostrophe is put in (OWASP, "CSV Injection"): ``+49 30 1234`` is written as ``'+49 30 1234``.
``append_csv`` takes exactly these apostrophes off again.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo

from batches.exports.cells import Cell, Row
from batches.files.formulas import disarm

LOCAL_TIME = "%Y-%m-%d %H:%M:%S"
"""A time as spreadsheet programs of all languages read it."""


def write_csv(
    columns: Sequence[str], pages: Iterable[list[Row]], *, delimiter: str = ",", zone: tzinfo | None = None
) -> Iterator[bytes]:
    """Yield the header, and then each page.

    Args:
        zone: Times are written as the clocks there show them. None: as ISO 8601, in UTC.
    """
    yield codecs.BOM_UTF8 + _write([list(columns)], delimiter, zone)
    for page in pages:
        yield _write(page, delimiter, zone)


def _write(rows: Iterable[Row], delimiter: str, zone: tzinfo | None) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([_show(cell, zone) for cell in row] for row in rows)
    return text.getvalue().encode()


def _show(cell: Cell, zone: tzinfo | None) -> str:
    if isinstance(cell, str):
        return disarm(cell)
    if isinstance(cell, datetime):
        return cell.astimezone(zone).strftime(LOCAL_TIME) if zone else cell.isoformat(timespec="seconds")
    return "" if cell is None else str(cell)
