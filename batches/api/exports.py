"""Download the result of each recipient, and the rejected rows, as CSV.

The files are streamed page by page. No transaction and no connection is kept between pages, so a slow reader costs
nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import PurePath
from urllib.parse import quote

from channels.db import database_sync_to_async
from django.http import HttpRequest, StreamingHttpResponse
from ninja import Router

from batches import audit, exports
from batches.api.batches import find_batch
from batches.models import AuditAction, Batch

router = Router(tags=["exports"])

ESCAPED_FORMULAS = (
    "An apostrophe precedes each cell that a spreadsheet would run as a formula (OWASP, CSV injection). "
    "Remove the apostrophe before you use such a cell elsewhere."
)
CSV = {"responses": {200: {"description": ESCAPED_FORMULAS, "content": {"text/csv": {}}}}}


@router.get("/batches/{int:batch_id}/results.csv", openapi_extra=CSV)
async def download_results(request: HttpRequest, batch_id: int) -> StreamingHttpResponse:
    """The uploaded columns, with the record of each email: status, reply code, reply, time, line, job, and its history.

    The history has every attempt of every job of the batch, oldest first. The last columns say whether an email came
    back after it was sent: why (`returned`), when, and in which words. Its status stays `sent`.
    """
    batch = await database_sync_to_async(_find_exported)(request, batch_id, "results.csv")
    return stream_csv(exports.results_csv(batch), filename=_name(batch, "results"))


@router.get("/batches/{int:batch_id}/rejected.csv", openapi_extra=CSV)
async def download_rejected(request: HttpRequest, batch_id: int) -> StreamingHttpResponse:
    """The rejected rows in the uploaded columns, with line number and reason."""
    batch = await database_sync_to_async(_find_exported)(request, batch_id, "rejected.csv")
    return stream_csv(exports.rejected_csv(batch), filename=_name(batch, "rejected"))


def _find_exported(request: HttpRequest, batch_id: int, file: str) -> Batch:
    """Find the batch, and write down who downloads what of it."""
    batch = find_batch(request, batch_id)
    audit.record(AuditAction.DOWNLOAD, batch, file=file)
    return batch


def stream_csv(chunks: Iterator[bytes], *, filename: str) -> StreamingHttpResponse:
    """Answer with a CSV file, page by page."""
    response = StreamingHttpResponse(_read(chunks), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f"attachment; filename=\"export.csv\"; filename*=UTF-8''{quote(filename)}"
    response["Cache-Control"] = "no-store"
    return response


async def _read(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    while chunk := await database_sync_to_async(next)(chunks, b""):
        yield chunk


def _name(batch: Batch, what: str) -> str:
    return f"{PurePath(batch.filename).stem or 'batch'}-{what}.csv"
