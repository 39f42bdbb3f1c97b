"""Delete batches with all their rows in other tables, in a few statements, however many emails there are.

Django's own cascade would load every email into memory twice: to list them, and to delete them.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.db.models import Model

from batches import audit
from batches.directory import unlist_batches
from batches.models import (
    Approval,
    Attempt,
    AuditAction,
    Batch,
    Email,
    EmailJob,
    Lane,
    ProgressMark,
    RejectedRow,
    Return,
    RoundTrip,
    UploadChunk,
)

BELONGING: tuple[tuple[type[Model], str], ...] = (
    (Attempt, "email__batch"),
    (Return, "batch"),
    (Email, "batch"),
    (RejectedRow, "batch"),
    (UploadChunk, "batch"),
    (RoundTrip, "batch"),
    (ProgressMark, "job__batch"),
    (Lane, "job__batch"),
    (EmailJob, "batch"),
    (Approval, "batch"),
    (Batch, "pk"),
)
"""The tables with rows of a batch, and the path to it, in the order of the foreign keys."""


def delete_batches(ids: Iterable[int]) -> int:
    """Delete those of the batches that have no live job. Returns how many were deleted."""
    with transaction.atomic():
        # Locked like in every transition of a batch, so that no batch becomes live before it is deleted.
        locked = Batch.objects.select_for_update().filter(pk__in=list(ids)).order_by("pk")
        batch_ids = [batch.pk for batch in locked]
        live = EmailJob.objects.filter(batch__in=batch_ids, completed_at=None)
        deleted = sorted(set(batch_ids) - set(live.values_list("batch_id", flat=True)))
        for model, path in BELONGING:
            rows = model._base_manager.filter(**{f"{path}__in": deleted})
            rows._raw_delete(rows.db)  # which does not look for related rows
        unlist_batches(deleted)
        for batch in locked:
            if batch.pk in deleted:
                audit.record(AuditAction.ADMIN_CHANGE, batch, act="delete", count=batch.total_count)
    return len(deleted)
