"""Download what became of each recipient, and the rows that were set aside, as CSV.

Streamed page by page with no transaction or connection held between pages, so a slow reader costs nothing.
Cells that a spreadsheet would run as a formula are disarmed with an apostrophe (OWASP, CSV injection).
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import PurePath
from urllib.parse import quote

from channels.db import database_sync_to_async
from django.http import HttpRequest, StreamingHttpResponse
from ninja import Router

from batches.api.batches import find_batch
from batches.models import Batch, Email, RejectedRow

router = Router(tags=["exports"])

PAGE_ROWS = 5000
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes a spreadsheet run a cell; the last four are the full-width forms."""

Cells = Sequence[object]
ReadPage = Callable[[int], tuple[list[Cells], int | None]]
"""From a cursor to the page behind it and the next cursor, None after the last page."""


@router.get("/batches/{int:batch_id}/results.csv", openapi_extra={"responses": {200: {"content": {"text/csv": {}}}}})
async def download_results(request: HttpRequest, batch_id: int) -> StreamingHttpResponse:
    """The uploaded columns with status, code, reply and time."""
    batch = await database_sync_to_async(find_batch)(request, batch_id)
    header = [*_columns(batch), "status", "code", "reply", "time"]
    return _stream(header, lambda cursor: _read_results(batch, cursor), filename=_name(batch, "results"))


@router.get("/batches/{int:batch_id}/rejected.csv", openapi_extra={"responses": {200: {"content": {"text/csv": {}}}}})
async def download_rejected(request: HttpRequest, batch_id: int) -> StreamingHttpResponse:
    """The lines that did not become emails, in the uploaded columns, with line number and reason."""
    batch = await database_sync_to_async(find_batch)(request, batch_id)
    header = [*_columns(batch), "line", "reason"]
    return _stream(header, lambda cursor: _read_rejected(batch, cursor), filename=_name(batch, "rejected"))


def _columns(batch: Batch) -> list[str]:
    return list(batch.columns) or ["email", *batch.merge_fields]


def _read_results(batch: Batch, after: int) -> tuple[list[Cells], int | None]:
    # Keyset on the unique (batch, row): a page costs the same at the end of a million rows as at the start.
    page = list(
        Email.objects.filter(batch=batch, row__gt=after)
        .order_by("row")
        .values_list("row", "address", "fields", "status", "code", "reply", "settled_at")[:PAGE_ROWS]
    )
    rows: list[Cells] = []
    for _, address, fields, status, code, reply, settled_at in page:
        cells = [*fields[: batch.address_index], address, *fields[batch.address_index :]]
        time = settled_at.isoformat(timespec="seconds") if settled_at else ""
        rows.append([*cells, status, "" if code is None else code, reply, time])
    return rows, page[-1][0] if len(page) == PAGE_ROWS else None


def _read_rejected(batch: Batch, after: int) -> tuple[list[Cells], int | None]:
    page = list(
        RejectedRow.objects.filter(batch=batch, pk__gt=after)
        .order_by("pk")
        .values_list("pk", "line", "raw", "reason")[:PAGE_ROWS]
    )
    width = len(_columns(batch))
    rows: list[Cells] = [[*_fit(raw, width), line, reason] for _, line, raw, reason in page]
    return rows, page[-1][0] if len(page) == PAGE_ROWS else None


def _fit(cells: list[str], width: int) -> list[str]:
    """A bad line may have any number of cells: line and reason still stand in their columns."""
    padded = cells + [""] * (width - len(cells))
    return [*padded[: width - 1], " | ".join(padded[width - 1 :])] if len(padded) > width else padded


def _stream(header: Cells, read_page: ReadPage, *, filename: str) -> StreamingHttpResponse:
    response = StreamingHttpResponse(_pages(header, read_page), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f"attachment; filename=\"export.csv\"; filename*=UTF-8''{quote(filename)}"
    response["Cache-Control"] = "no-store"
    return response


async def _pages(header: Cells, read_page: ReadPage) -> AsyncIterator[bytes]:
    # The byte order mark makes Excel read UTF-8.
    yield b"\xef\xbb\xbf" + write_csv([header])
    cursor: int | None = 0
    while cursor is not None:
        chunk, cursor = await database_sync_to_async(_write_page)(read_page, cursor)
        yield chunk


def _write_page(read_page: ReadPage, cursor: int) -> tuple[bytes, int | None]:
    rows, following = read_page(cursor)
    return write_csv(rows), following


def write_csv(rows: Iterable[Cells]) -> bytes:
    """RFC 4180 lines in UTF-8, every cell safe to open in a spreadsheet."""
    lines = io.StringIO()
    csv.writer(lines).writerows([disarm(str(cell)) for cell in row] for row in rows)
    return lines.getvalue().encode()


def disarm(cell: str) -> str:
    """An apostrophe before what a spreadsheet would take for a formula; also before one in leading blanks."""
    return f"'{cell}" if cell.lstrip(" ").startswith(FORMULA_STARTS) else cell


def _name(batch: Batch, what: str) -> str:
    return f"{PurePath(batch.filename).stem or 'batch'}-{what}.csv"
