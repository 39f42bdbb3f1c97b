"""Read what became of a batch as pages of cells: the uploaded columns, and what is known of each row.

Cells are texts, numbers and times. How a text is made harmless, and how a time is shown, is the writers' business.

The rows are read in pages by their key, and not by a server-side cursor. A cursor would keep a transaction open for as
long as the slowest client takes, and PostgreSQL could not clean up after the lanes (promise 6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from batches.files.column_match import LINE_COLUMN, REASON_COLUMN
from batches.history import EmailRow, SaidHistory, say_histories
from batches.models import Batch, EmailQuerySet
from batches.paging import is_after
from batches.returns.summary import choose_return, name_return, read_returns, say_answer

Cell = str | int | datetime | None
Row = list[Cell]

PAGE_ROWS = 2000
FIRST_PAGE_ROWS = 20
"""The size of the first page, which shows how long the rows are."""
PAGE_CHARACTERS = 1 << 20
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
TIME_COLUMNS = ("time", "history", "returned_at")
"""The columns that hold times."""
NO_RETURN: Row = [None, None, None]
ATTEMPT_SEPARATOR = " | "
"""Separates the attempts in a cell of the column ``history``, oldest first."""
ADDRESS_COLUMN = "address"
"""Ends the results if the list has several address columns: it says to which of the addresses the mail went."""


def result_columns(batch: Batch, *, zone: str = "") -> list[str]:
    """Return the headings of the results. ``zone`` is named in those of times, if they are local."""
    ours = [f"{name} ({zone})" if zone and name in TIME_COLUMNS else name for name in RESULT_COLUMNS]
    return [*batch.columns, *ours, *([ADDRESS_COLUMN] if batch.more_address_indexes else [])]


def result_pages(
    batch: Batch,
    *,
    emails: EmailQuerySet | None = None,
    status: str = "",
    is_wanted: Callable[[EmailRow], bool] | None = None,
    zone: str = "",
) -> Iterator[list[Row]]:
    """Yield the uploaded columns of each email with its record, its line and its history, in the order of the file.

    The record is the state, code, reply and time, and the job that made it. The history has all attempts of all jobs.
    An email that came back is still sent: the last three columns say why it came back, when, and in which words.

    An email that holds several rows of the list has a line for each. All of them name the line of its first row.

    Args:
        emails: Only these emails of the batch. None: all of them.
        status: Only the emails in this state. Empty: all.
        is_wanted: Only the emails of which it says so. None: all.
        zone: The time zone of the times in the history. Empty: UTC, as ISO 8601.
    """
    wanted = batch.emails.all() if emails is None else emails
    has_several_addresses = bool(batch.more_address_indexes)
    last_row, rows = -1, FIRST_PAGE_ROWS
    while page := _read_page(wanted, last_row, rows, status=status):
        last_row = page[-1].row
        page = page if is_wanted is None else list(filter(is_wanted, page))
        if not page:
            rows = PAGE_ROWS
            continue
        histories = say_histories(page, separator=ATTEMPT_SEPARATOR, zone=zone)
        returns = _read_return_cells(page)
        cells: list[Row] = [
            [*uploaded, *_result_cells(email, history), *returns.get(email.id, NO_RETURN)]
            + ([email.address] if has_several_addresses else [])
            for email, history in zip(page, histories, strict=True)
            for uploaded in _uploaded_rows(batch, email.address, email.fields)
        ]
        rows = _next_page_rows(len(page), cells)
        yield cells


def rejected_columns(batch: Batch) -> list[str]:
    """Return the headings of the rejected rows."""
    return [*batch.columns, LINE_COLUMN, REASON_COLUMN]


def rejected_pages(batch: Batch) -> Iterator[list[Row]]:
    """Yield the rejected rows in the uploaded columns, with line number and reason, in the order of the file."""
    width = len(batch.columns)
    last_line, last_id, rows = -1, -1, FIRST_PAGE_ROWS
    while page := list(
        batch.rejected_rows.filter(is_after(["line", "id"], [last_line, last_id]))
        .order_by("line", "id")
        .values_list("line", "id", "raw", "reason")[:rows]
    ):
        last_line, last_id = page[-1][:2]
        # Cells after the header's last column come last, so that they shift no other column.
        cells: list[Row] = [[*_pad(raw, width), line, reason, *raw[width:]] for line, _, raw, reason in page]
        rows = _next_page_rows(len(page), cells)
        yield cells


def _read_page(wanted: EmailQuerySet, after_row: int, rows: int, *, status: str) -> list[EmailRow]:
    emails = wanted.filter(row__gt=after_row).with_state().order_by("row")
    chosen = emails.in_state(status) if status else emails
    return list(map(EmailRow._make, chosen.values_list(*EmailRow._fields)[:rows]))


def _result_cells(email: EmailRow, history: SaidHistory) -> Row:
    record = history.record
    return [
        record.state.value,
        record.code,
        record.reply,
        record.completed_at,
        email.line or email.row,
        record.job_id,
        history.text,
    ]


def _read_return_cells(page: Sequence[EmailRow]) -> dict[int, Row]:
    """Return the last cells of those emails of a page that came back, by their ids."""
    chosen = ((pk, choose_return(reports)) for pk, reports in read_returns([email.id for email in page]).items())
    return {
        pk: [name_return(report), report.received_at, say_answer(report)] for pk, report in chosen if report is not None
    }


def _next_page_rows(count: int, cells: Sequence[Row]) -> int:
    """Return how many rows fill a page, if the next rows are as long as the ``count`` rows of the last page."""
    length = sum(len(cell) + 1 if isinstance(cell, str) else 8 for row in cells for cell in row)
    return max(1, min(PAGE_ROWS, count * PAGE_CHARACTERS // length))


def _uploaded_rows(batch: Batch, address: str, fields: Sequence[Any]) -> list[list[str]]:
    """Return the uploaded cells of an email: of its one row, or of all rows that it holds together."""
    width, index = len(batch.merge_fields), batch.address_index
    rows = fields[width] if len(fields) > width else [fields]
    if batch.more_address_indexes:  # then the address columns are merge fields too
        return [list(row) for row in rows]
    return [[*row[:index], address, *row[index:]] for row in rows]


def _pad(raw: Sequence[str], width: int) -> list[str]:
    return [*raw[:width], *([""] * (width - len(raw)))]
