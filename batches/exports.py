"""Write what became of a batch as CSV, in chunks of bytes, in constant memory on both sides.

UTF-8 with a byte order mark, so that Excel takes it for what it is. A cell that a spreadsheet would run as
a formula gets an apostrophe in front (OWASP, "CSV Injection"): ``+49 30 1234`` comes out as ``'+49 30 1234``,
which spreadsheets show without it, and which ``append_csv`` takes off again.

Pages go by key and not by a server-side cursor: a cursor would hold a transaction open for as long as the
slowest reader takes, and keep PostgreSQL from cleaning up behind the lanes (promise 6).
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from batches.files.column_match import LINE_COLUMN, REASON_COLUMN
from batches.files.formulas import disarm
from batches.models import Batch

PAGE_ROWS = 2000
FIRST_PAGE_ROWS = 20
"""How many are read before it is known how long they are."""
PAGE_BYTES = 1 << 20
EMAIL_COLUMNS = ("row", "address", "fields", "state", "code", "reply", "completed_at")
OUTCOME_COLUMNS = ("status", "code", "reply", "time")


def results_csv(batch: Batch) -> Iterator[bytes]:
    """The uploaded columns of each email with status, code, reply and time, in file order."""
    yield _header([*batch.columns, *OUTCOME_COLUMNS])
    last_row, rows = -1, FIRST_PAGE_ROWS
    while page := list(
        batch.emails.filter(row__gt=last_row).with_state().order_by("row").values_list(*EMAIL_COLUMNS)[:rows]
    ):
        last_row = page[-1][0]
        chunk = _encode(
            [*_cells(batch, address, fields), state, _show(code), reply, _show(completed_at)]
            for row, address, fields, state, code, reply, completed_at in page
        )
        rows = _next_page_rows(len(page), len(chunk))
        yield chunk


def rejected_csv(batch: Batch) -> Iterator[bytes]:
    """The lines that became no email, in the uploaded columns, with line number and reason, in file order."""
    yield _header([*batch.columns, LINE_COLUMN, REASON_COLUMN])
    width = len(batch.columns)
    last_line, last_id, rows = -1, -1, FIRST_PAGE_ROWS
    while page := list(
        batch.rejected_rows.extra(where=["(line, id) > (%s, %s)"], params=[last_line, last_id])
        .order_by("line", "id")
        .values_list("line", "id", "raw", "reason")[:rows]
    ):
        last_line, last_id = page[-1][:2]
        # Cells beyond the header come last, where they shift no column.
        chunk = _encode([*_fit(raw, width), str(line), reason, *raw[width:]] for line, _, raw, reason in page)
        rows = _next_page_rows(len(page), len(chunk))
        yield chunk


def _next_page_rows(count: int, length: int) -> int:
    """As many rows as fit into a page, if they go on like those of the last one."""
    return max(1, min(PAGE_ROWS, count * PAGE_BYTES // length))


def _cells(batch: Batch, address: str, fields: Sequence[str]) -> list[str]:
    index = batch.address_index
    return [*fields[:index], address, *fields[index:]]


def _fit(raw: Sequence[str], width: int) -> list[str]:
    return [*raw[:width], *([""] * (width - len(raw)))]


def _show(value: int | datetime | None) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return "" if value is None else str(value)


def _header(columns: Sequence[str]) -> bytes:
    return codecs.BOM_UTF8 + _encode([columns])


def _encode(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([disarm(cell) for cell in row] for row in rows)
    return text.getvalue().encode()
