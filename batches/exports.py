"""Write what became of a batch as CSV, in chunks of bytes and in constant memory.

The text is UTF-8 with a byte order mark, so that Excel recognises it. Where a spreadsheet program would begin a
formula, an apostrophe is put in (OWASP, "CSV Injection"): ``+49 30 1234`` is written as ``'+49 30 1234``.
``append_csv`` takes exactly these apostrophes off again.

The rows are read in pages by their key, and not by a server-side cursor. A cursor would keep a transaction open for as
long as the slowest client takes, and PostgreSQL could not clean up after the lanes (promise 6).
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from batches.files.column_match import LINE_COLUMN, REASON_COLUMN
from batches.files.formulas import disarm
from batches.history import EmailRow, SaidHistory, say_histories
from batches.models import Batch, EmailQuerySet
from batches.paging import is_after
from batches.returns.summary import choose_return, name_return, read_returns, say_answer

PAGE_ROWS = 2000
FIRST_PAGE_ROWS = 20
"""The size of the first page, which shows how long the rows are."""
PAGE_BYTES = 1 << 20
"""Pages after the first are about this long."""
RESULT_COLUMNS = (
    "status",
    "code",
    "reply",
    "time",
    LINE_COLUMN,
    "job",
    "history",
    "returned",
    "returned_at",
    "returned_text",
)
NO_RETURN = ("", "", "")
ATTEMPT_SEPARATOR = " | "
"""Separates the attempts in a cell of the column ``history``, oldest first."""
ADDRESS_COLUMN = "address"
"""Ends results.csv if the list has several address columns: it says to which of the addresses the mail went."""


def results_csv(batch: Batch, emails: EmailQuerySet | None = None) -> Iterator[bytes]:
    """Yield the uploaded columns of each email with its record, its line and its history, in the order of the file.

    The record is the state, code, reply and time, and the job that made it. The history has all attempts of all jobs.
    An email that came back is still sent: the last three columns say why it came back, when, and in which words.

    An email that holds several rows of the list has a line for each. All of them name the line of its first row.

    Args:
        emails: Only these emails of the batch. None: all of them.
    """
    wanted = batch.emails.all() if emails is None else emails
    has_several_addresses = bool(batch.more_address_indexes)
    yield _header([*batch.columns, *RESULT_COLUMNS, *([ADDRESS_COLUMN] if has_several_addresses else [])])
    last_row, rows = -1, FIRST_PAGE_ROWS
    while page := _read_page(wanted, last_row, rows):
        last_row = page[-1].row
        histories = say_histories(page, separator=ATTEMPT_SEPARATOR)
        returns = _read_return_cells(page)
        chunk = _write(
            [*map(disarm, cells), *_result_cells(email, history), *returns.get(email.id, NO_RETURN)]
            + ([disarm(email.address)] if has_several_addresses else [])
            for email, history in zip(page, histories, strict=True)
            for cells in _uploaded_rows(batch, email.address, email.fields)
        )
        rows = _next_page_rows(len(page), len(chunk))
        yield chunk


def rejected_csv(batch: Batch) -> Iterator[bytes]:
    """Yield the rejected rows in the uploaded columns, with line number and reason, in the order of the file."""
    yield _header([*batch.columns, LINE_COLUMN, REASON_COLUMN])
    width = len(batch.columns)
    last_line, last_id, rows = -1, -1, FIRST_PAGE_ROWS
    while page := list(
        batch.rejected_rows.filter(is_after(["line", "id"], [last_line, last_id]))
        .order_by("line", "id")
        .values_list("line", "id", "raw", "reason")[:rows]
    ):
        last_line, last_id = page[-1][:2]
        # Cells after the header's last column come last, so that they shift no other column.
        chunk = _encode([*_pad(raw, width), str(line), reason, *raw[width:]] for line, _, raw, reason in page)
        rows = _next_page_rows(len(page), len(chunk))
        yield chunk


def _read_page(wanted: EmailQuerySet, after_row: int, rows: int) -> list[EmailRow]:
    emails = wanted.filter(row__gt=after_row).with_state().order_by("row")
    return list(map(EmailRow._make, emails.values_list(*EmailRow._fields)[:rows]))


def _result_cells(email: EmailRow, history: SaidHistory) -> list[str]:
    """Return the cells up to the history. The reply, which the history has too, is a text of somebody else."""
    record = history.record
    return [
        record.state.value,
        _show(record.code),
        disarm(record.reply),
        _show(record.completed_at),
        str(email.line or email.row),
        _show(record.job_id),
        disarm(history.text),
    ]


def _read_return_cells(page: Sequence[EmailRow]) -> dict[int, list[str]]:
    """Return the last cells of those emails of a page that came back, by their ids."""
    chosen = ((pk, choose_return(reports)) for pk, reports in read_returns([email.id for email in page]).items())
    return {
        pk: [name_return(report), _show(report.received_at), disarm(say_answer(report))]
        for pk, report in chosen
        if report is not None
    }


def _next_page_rows(count: int, length: int) -> int:
    """Return how many rows fill a page, if the next rows are as long as the ``count`` rows of the last page."""
    return max(1, min(PAGE_ROWS, count * PAGE_BYTES // length))


def _uploaded_rows(batch: Batch, address: str, fields: Sequence[Any]) -> list[list[str]]:
    """Return the uploaded cells of an email: of its one row, or of all rows that it holds together."""
    width, index = len(batch.merge_fields), batch.address_index
    rows = fields[width] if len(fields) > width else [fields]
    if batch.more_address_indexes:  # then the address columns are merge fields too
        return [list(row) for row in rows]
    return [[*row[:index], address, *row[index:]] for row in rows]


def _pad(raw: Sequence[str], width: int) -> list[str]:
    return [*raw[:width], *([""] * (width - len(raw)))]


def _show(value: int | datetime | None) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return "" if value is None else str(value)


def _header(columns: Sequence[str]) -> bytes:
    return codecs.BOM_UTF8 + _encode([columns])


def _encode(rows: Iterable[Sequence[str]]) -> bytes:
    return _write([disarm(cell) for cell in row] for row in rows)


def _write(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
