"""Download the result of each recipient, and the rejected rows: as CSV for programs, as CSV or .xlsx for people.

The files are streamed page by page. No transaction and no connection is kept between pages, so a slow reader costs
nothing. A child process writes what is large.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Annotated, Any
from urllib.parse import quote

from channels.db import database_sync_to_async
from django.http import HttpRequest, StreamingHttpResponse
from ninja import Query, Router

from batches import audit
from batches.api.batches import find_batch
from batches.api.errors import ApiError
from batches.exports.child_process import write_in_child
from batches.exports.export import Export, FileKind, name_file, write_export
from batches.jobs.failure_groups import KEY_CHARS, find_choice
from batches.jobs.lifecycle import JobRefused
from batches.models import AuditAction, Batch, EmailState

router = Router(tags=["exports"])

CHILD_ABOVE_ROWS = 5_000
"""A larger file is written by a child process, which takes a second to start."""
AT_ONCE, AT_ONCE_OF_USER = 6, 2
"""How many such downloads a web process serves. Each has a process with some 80 MB, so there must be a limit."""
WAIT_SECONDS = 60

ESCAPED_FORMULAS = (
    "An apostrophe precedes each cell that a spreadsheet would run as a formula (OWASP, CSV injection). "
    "Remove the apostrophe before you use such a cell elsewhere."
)
CSV = {"responses": {200: {"description": ESCAPED_FORMULAS, "content": {"text/csv": {}}}}}
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
XLSX = {
    "responses": {200: {"description": "An Excel file, in which every text is a text.", "content": {XLSX_TYPE: {}}}}
}
Local = Annotated[
    bool,
    Query(
        description="Write it for people: with the delimiter of the uploaded list, and with times in the zone of the "
        "site, which the headings name."
    ),
]
Status = Annotated[EmailState | None, Query(description="Only the recipients in this state.")]
Failure = Annotated[
    str,
    Query(
        max_length=KEY_CHARS,
        description="Only the failed recipients with one answer of the mail server. The batch's page has the keys.",
    ),
]
Domain = Annotated[str, Query(alias="at", max_length=255, description="Of these, only the recipients at a domain.")]


@router.get("/batches/{int:batch_id}/results.csv", openapi_extra=CSV)
async def download_results(
    request: HttpRequest,
    batch_id: int,
    status: Status = None,
    local: Local = False,
    failure: Failure = "",
    domain: Domain = "",
) -> StreamingHttpResponse:
    """The uploaded columns, with the record of each email: status, reply code, reply, time, line, job, and its history.

    The history has every attempt of every job of the batch, oldest first. The last columns say whether an email came
    back after it was sent: why (`returned`), when, and in which words. Its status stays `sent`.
    """
    kind = FileKind.LOCAL_CSV if local else FileKind.CSV
    wanted = Export(batch_id=batch_id, rows="results", kind=kind, status=status or "", failure=failure, domain=domain)
    return await _answer(request, wanted)


@router.get("/batches/{int:batch_id}/results.xlsx", openapi_extra=XLSX)
async def download_results_sheet(request: HttpRequest, batch_id: int, status: Status = None) -> StreamingHttpResponse:
    """The results as an Excel file, for people. Times are in the zone of the site, which the headings name."""
    return await _answer(request, Export(batch_id=batch_id, rows="results", kind=FileKind.XLSX, status=status or ""))


@router.get("/batches/{int:batch_id}/rejected.csv", openapi_extra=CSV)
async def download_rejected(request: HttpRequest, batch_id: int, local: Local = False) -> StreamingHttpResponse:
    """The rejected rows in the uploaded columns, with line number and reason."""
    kind = FileKind.LOCAL_CSV if local else FileKind.CSV
    return await _answer(request, Export(batch_id=batch_id, rows="rejected", kind=kind))


@router.get("/batches/{int:batch_id}/rejected.xlsx", openapi_extra=XLSX)
async def download_rejected_sheet(request: HttpRequest, batch_id: int) -> StreamingHttpResponse:
    """The rejected rows as an Excel file. Correct it, and add it to the draft again."""
    return await _answer(request, Export(batch_id=batch_id, rows="rejected", kind=FileKind.XLSX))


async def _answer(request: HttpRequest, export: Export) -> StreamingHttpResponse:
    batch = await database_sync_to_async(_find_exported)(request, export)
    filename = name_file(batch, export)
    content_type = XLSX_TYPE if export.kind == FileKind.XLSX else "text/csv; charset=utf-8"
    count = batch.total_count if export.rows == "results" else batch.rejected_count + batch.duplicate_count
    if count <= CHILD_ABOVE_ROWS:
        return Download(_read(write_export(batch, export)), filename=filename, content_type=content_type)
    turn = _turns.take(request.user.pk)
    return Download(turn.hold(write_in_child(export)), filename=filename, content_type=content_type, turn=turn)


def _find_exported(request: HttpRequest, export: Export) -> Batch:
    """Find the batch, and write down who downloads what of it."""
    batch = find_batch(request, export.batch_id)
    if export.failure:
        try:
            find_choice(batch, export.failure, domain=export.domain)
        except JobRefused as exc:
            raise ApiError(404, str(exc)) from exc
    audit.record(AuditAction.DOWNLOAD, batch, file=f"{export.rows}.{export.kind.ending}")
    return batch


class _Turn:
    """One download that a child process writes. It is released once, by the first that does it."""

    def __init__(self, release: Callable[[], None]) -> None:
        self._release: Callable[[], None] | None = release

    async def hold(self, chunks: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
        """Yield the chunks, and release the turn after them."""
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    yield chunk
        finally:
            self.release()

    def release(self) -> None:
        release, self._release = self._release, None
        if release:
            release()


class _Turns:
    """Counts the downloads that child processes of this web process write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # responses are closed in other threads
        self._running: Counter[int | None] = Counter()

    def take(self, user_id: int | None) -> _Turn:
        """Let a user download one more.

        Raises:
            ApiError: 429, there are too many.
        """
        with self._lock:
            if self._running[user_id] >= AT_ONCE_OF_USER:
                raise _busy("You are downloading other large files. Wait until one of them is here.")
            if self._running.total() >= AT_ONCE:
                raise _busy("Others are downloading large files. Try again in a minute.")
            self._running[user_id] += 1
        return _Turn(lambda: self._release(user_id))

    def _release(self, user_id: int | None) -> None:
        with self._lock:
            self._running[user_id] -= 1
            self._running += Counter()  # drops the users without a download


def _busy(sentence: str) -> ApiError:
    return ApiError(429, sentence, retryAfterSeconds=WAIT_SECONDS)


_turns = _Turns()


class Download(StreamingHttpResponse):
    """A file that a browser saves.

    The turn is released at the end of the chunks, or when the response is closed: Django does not begin the chunks if
    the client goes before, and does not close the response if they fail.
    """

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        *,
        filename: str,
        content_type: str,
        turn: _Turn | None = None,
    ) -> None:
        super().__init__(chunks, content_type=content_type)
        self._turn = turn
        plain = f"export.{filename.rpartition('.')[2]}"
        self["Content-Disposition"] = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename)}"
        self["Cache-Control"] = "no-store"

    def close(self) -> None:
        if self._turn:
            self._turn.release()
        super().close()


def stream_csv(chunks: Iterator[bytes], *, filename: str) -> StreamingHttpResponse:
    """Answer with a CSV file, page by page."""
    return Download(_read(chunks), filename=filename, content_type="text/csv; charset=utf-8")


async def _read(chunks: Iterator[Any]) -> AsyncIterator[bytes]:
    while chunk := await database_sync_to_async(next)(chunks, b""):
        yield chunk
