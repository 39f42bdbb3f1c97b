"""The forms of the review page that change a list: name merge fields, read the file again, add rows, discard.

A posted form enters. A redirect to the review leaves; if the change is refused, the review with the reason and with
what the user typed.
"""

from __future__ import annotations

from typing import BinaryIO, cast

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from batches import intake
from batches.files.findings import Reading
from batches.files.reading_choices import change_choices
from batches.models import Batch, BatchStatus
from batches.permissions import Act
from batches.web.message import read_choice
from batches.web.reading_form import ReadingChoice, list_changes, present_choice, read_posted, read_shared
from batches.web.requests import SignedInRequest, find_batch, posted_from_review
from batches.web.review import review_address, show_draft
from batches.wording import say_added

FIELD_PREFIX = "field-"
"""An input's name is this prefix and the name that the merge field has now."""


@posted_from_review
def rename_fields(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Give merge fields other names, so that other columns fill the gaps of the template."""
    batch = find_batch(request, batch_id, act=Act.SEND)
    typed = {
        name.removeprefix(FIELD_PREFIX): value.strip()
        for name, value in request.POST.items()
        if name.startswith(FIELD_PREFIX) and isinstance(value, str)
    }
    try:
        batch = intake.rename_merge_fields(batch, typed)
    except intake.ListRefused as exc:
        return _refuse(request, batch, exc, typed=typed)
    return redirect(review_address(read_choice(batch, request.POST, user=request.user)) + "#list")


@posted_from_review
def reread(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Read the stored file again, with what the user changed and with everything that was chosen before."""
    batch = find_batch(request, batch_id, act=Act.SEND)
    present = present_choice(batch)
    chosen = read_posted(request.POST, present)
    try:
        options = change_choices(Reading.from_json(batch.reading).chosen, list_changes(chosen, present))
        batch = intake.reread_upload(batch, options, shared=read_shared(chosen))
    except intake.ListRefused as exc:
        return _refuse(request, batch, exc, reading=chosen)
    messages.success(request, f"The file was read again. Recipients: {batch.total_count:,}.")
    return redirect(review_address(read_choice(batch, request.POST, user=request.user)) + "#list")


@posted_from_review
def add_rows(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Add the rows of a file, such as the rejected rows after their correction."""
    batch = find_batch(request, batch_id, act=Act.SEND)
    try:
        file = request.FILES.get("file")
        if file is None:
            raise intake.ListRefused("Choose the file with the corrected rows first.")
        batch, counts = intake.append_csv(batch, cast(BinaryIO, file.file))
    except intake.ListRefused as exc:
        return _refuse(request, batch, exc)
    messages.success(request, say_added(counts.total, rejected=counts.rejected, duplicates=counts.duplicate))
    return redirect(review_address(read_choice(batch, request.POST, user=request.user)) + "#list")


@posted_from_review
def discard(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Delete a draft with all its rows. A batch that was sent is kept as a record."""
    batch = find_batch(request, batch_id, act=Act.STOP)
    try:
        intake.discard_draft(batch)
    except intake.NotADraft:
        messages.error(request, "This batch was sent or is being sent, so it is kept. To stop it, cancel it.")
        return redirect("batch", batch_id=batch.pk)
    messages.success(request, f"“{batch.title}” was discarded. Nothing was sent.")
    return redirect("home")


def _refuse(
    request: SignedInRequest,
    batch: Batch,
    exc: intake.ListRefused,
    *,
    typed: dict[str, str] | None = None,
    reading: ReadingChoice | None = None,
) -> HttpResponse:
    batch.refresh_from_db()
    if batch.status != BatchStatus.DRAFT:
        messages.error(request, str(exc))
        return redirect("batch", batch_id=batch.pk)
    choice = read_choice(batch, request.POST, user=request.user)
    return show_draft(request, choice, status=exc.http_status, list_error=str(exc), typed=typed, reading=reading)
