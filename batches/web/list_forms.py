"""The forms of the review page that change the list: merge fields, how the file is read, more rows, discard."""

from __future__ import annotations

from typing import BinaryIO, cast

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from batches import intake
from batches.models import Batch, BatchStatus
from batches.web.list_view import ReadingChoice
from batches.web.message import read_choice
from batches.web.requests import SignedInRequest, find_batch, posted_from_review
from batches.web.review import review_address, show_draft

FIELD_PREFIX = "field-"
"""The input of a merge field is named by this and the field's present name."""


@posted_from_review
def rename_fields(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Let other columns fill the template's merge fields: a column's field gets another name."""
    batch = find_batch(request, batch_id)
    typed = {
        name.removeprefix(FIELD_PREFIX): value.strip()
        for name, value in request.POST.items()
        if name.startswith(FIELD_PREFIX) and isinstance(value, str)
    }
    try:
        batch = intake.rename_merge_fields(batch, typed)
    except intake.ListRefused as exc:
        return _refuse(request, batch, exc, typed=typed)
    return redirect(review_address(read_choice(batch, request.POST)) + "#list")


@posted_from_review
def reread(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Read the stored file again, the way that the person says."""
    batch = find_batch(request, batch_id)
    delimiter = request.POST.get("delimiter") or None
    try:
        batch = intake.reread_upload(
            batch,
            encoding=request.POST.get("encoding") or None,
            delimiter=delimiter,
            has_header=request.POST.get("has_header") == "yes",
            address_index=_read_address_index(request, batch, delimiter),
        )
    except intake.ListRefused as exc:
        return _refuse(request, batch, exc, attempt=_read_attempt(request))
    messages.success(request, f"The file was read again; recipients: {batch.total_count:,}.")
    return redirect(review_address(read_choice(batch, request.POST)) + "#list")


def _read_attempt(request: SignedInRequest) -> ReadingChoice:
    return ReadingChoice(
        encoding=request.POST.get("encoding", ""),
        delimiter=request.POST.get("delimiter", ""),
        has_header=request.POST.get("has_header") == "yes",
        address_index=request.POST.get("address_index", ""),
    )


def _read_address_index(request: SignedInRequest, batch: Batch, delimiter: str | None) -> int | None:
    """The column that the person chose; one that was left as it was means nothing where the columns are others."""
    chosen = request.POST.get("address_index", "")
    index = int(chosen) if chosen.isascii() and chosen.isdigit() else None
    return None if index == batch.address_index and delimiter != batch.delimiter else index


@posted_from_review
def add_rows(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Add the rows of a file, such as the rejected ones after they were mended."""
    batch = find_batch(request, batch_id)
    try:
        file = request.FILES.get("file")
        if file is None:
            raise intake.ListRefused("Choose the file with the mended rows first.")
        batch, counts = intake.append_csv(batch, cast(BinaryIO, file.file))
    except intake.ListRefused as exc:
        return _refuse(request, batch, exc)
    set_aside = counts.rejected + counts.duplicate
    added = f"{counts.total:,} recipient{'' if counts.total == 1 else 's'}"
    left = f"{set_aside:,} row{' was' if set_aside == 1 else 's were'}"
    messages.success(request, f"Added {added}; {left} set aside.")
    return redirect(review_address(read_choice(batch, request.POST)) + "#list")


@posted_from_review
def discard(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Delete a draft with all its rows; a batch that was sent is a record and stays."""
    batch = find_batch(request, batch_id)
    try:
        intake.discard_draft(batch)
    except intake.NotADraft:
        messages.error(request, "This batch was sent or is being sent, so it stays. Cancel it to stop it.")
        return redirect("batch", batch_id=batch.pk)
    messages.success(request, f"“{batch.filename}” is discarded. Nothing was sent.")
    return redirect("home")


def _refuse(
    request: SignedInRequest,
    batch: Batch,
    exc: intake.ListRefused,
    *,
    typed: dict[str, str] | None = None,
    attempt: ReadingChoice | None = None,
) -> HttpResponse:
    batch.refresh_from_db()
    if batch.status != BatchStatus.DRAFT:
        messages.error(request, str(exc))
        return redirect("batch", batch_id=batch.pk)
    choice = read_choice(batch, request.POST)
    return show_draft(request, choice, status=exc.http_status, list_error=str(exc), typed=typed, attempt=attempt)
