"""Change a held batch before it is sent: add mended or further rows, or discard it."""

from __future__ import annotations

from typing import BinaryIO, cast

from django.http import HttpRequest
from ninja import File, Router, Status
from ninja.files import UploadedFile

from batches import intake
from batches.api.batches import find_batch
from batches.api.schemas import AddedOut

router = Router(tags=["drafts"])


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
