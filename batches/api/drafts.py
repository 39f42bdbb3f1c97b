"""What the review page does, for programs: look at a held batch, change how it is read, add rows, discard it."""

from __future__ import annotations

from typing import BinaryIO, cast

from django.http import HttpRequest
from ninja import File, Router, Status
from ninja.files import UploadedFile

from batches import intake, reviewing
from batches.api.batches import find_batch
from batches.api.schemas import AddedOut, FieldNames, ReadAgain, ReviewOut, ReviewRowOut
from batches.models import Batch, BatchStatus, EmailTemplate
from batches.rendering.template import MessageParts

router = Router(tags=["drafts"])


@router.get("/batches/{int:batch_id}/review", response=ReviewOut)
def get_review(
    request: HttpRequest, batch_id: int, templateId: str | None = None, subject: str | None = None
) -> ReviewOut:
    """Hold a held batch against a template, as `send` would: what is missing or blank, and how long it takes.

    The message of any row is at `POST /api/templates/{key}/preview`.
    """
    return _review(find_batch(request, batch_id), EmailTemplate.objects.find_named(templateId), subject=subject)


def _review(batch: Batch, template: EmailTemplate, *, subject: str | None) -> ReviewOut:
    if batch.status != BatchStatus.DRAFT:
        raise intake.NotADraft("This batch was sent or is being sent, so there is nothing to review.")
    found = reviewing.review(batch, MessageParts.of(template, subject))
    return ReviewOut(
        batchId=batch.pk,
        templateId=template.key,
        totalEmails=found.total_count,
        rejectedRows=found.rejected_count,
        duplicateRows=found.duplicate_count,
        smtputf8Emails=found.smtputf8_count,
        encoding=batch.encoding,
        delimiter=batch.delimiter,
        hasHeader=batch.has_header,
        columns=batch.columns,
        addressColumn=batch.address_index,
        mergeFields=batch.merge_fields,
        firstRows=[ReviewRowOut(row=row.row, address=row.address, fields=row.fields) for row in found.first_rows],
        missingFields=list(found.missing_fields),
        blankCounts=found.blank_counts,
        sameContentSentAt=found.same_content_at,
        durationSeconds=found.duration_seconds,
    )


@router.post("/batches/{int:batch_id}/fields", response=ReviewOut)
def rename_fields(request: HttpRequest, batch_id: int, payload: FieldNames, templateId: str | None = None) -> ReviewOut:
    """Give merge fields other names, so that other columns fill those of the template."""
    template = EmailTemplate.objects.find_named(templateId)
    batch = intake.rename_merge_fields(find_batch(request, batch_id), payload.names)
    return _review(batch, template, subject=None)


@router.post("/batches/{int:batch_id}/reread", response=ReviewOut)
def reread(request: HttpRequest, batch_id: int, payload: ReadAgain, templateId: str | None = None) -> ReviewOut:
    """Read the held file again in another way. Not after rows were added: then the first file is no longer kept."""
    template = EmailTemplate.objects.find_named(templateId)
    batch = intake.reread_upload(
        find_batch(request, batch_id),
        encoding=payload.encoding,
        delimiter=payload.delimiter,
        has_header=payload.hasHeader,
        address_index=payload.addressColumn,
    )
    return _review(batch, template, subject=None)


@router.post("/batches/{int:batch_id}/rows", response=AddedOut)
def add_rows(request: HttpRequest, batch_id: int, file: File[UploadedFile]) -> AddedOut:
    """Add the rows of a file to a held batch, such as its `rejected.csv` with the lines mended.

    The file has the batch's columns, in any order. Sent twice, its rows are duplicates the second time.
    """
    batch, counts = intake.append_csv(find_batch(request, batch_id), cast(BinaryIO, file.file))
    return AddedOut(
        success=True,
        batchId=batch.pk,
        addedEmails=counts.total,
        totalEmails=batch.total_count,
        rejectedRows=batch.rejected_count,
        duplicateRows=batch.duplicate_count,
    )


@router.post("/batches/{int:batch_id}/discard", response={204: None})
def discard(request: HttpRequest, batch_id: int) -> Status[None]:
    """Delete a held batch with its rows. One that was sent stays, for the record."""
    intake.discard_draft(find_batch(request, batch_id))
    return Status(204, None)
