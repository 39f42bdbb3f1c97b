"""Delete batches with all their rows in other tables, in eight statements, however many emails there are.

Django's own cascade would load every email into memory twice: to list them, and to delete them.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from batches import audit
from batches.models import Approval, Attempt, AuditAction, Batch, Email, EmailJob, Lane, RejectedRow, UploadChunk


def delete_batches(ids: Iterable[int]) -> int:
    """Delete those of the batches that have no live job. Returns how many were deleted."""
    with transaction.atomic():
        # Locked like in every transition of a batch, so that no batch becomes live before it is deleted.
        locked = Batch.objects.select_for_update().filter(pk__in=list(ids)).order_by("pk")
        batch_ids = [batch.pk for batch in locked]
        live = EmailJob.objects.filter(batch__in=batch_ids, completed_at=None)
        deleted = sorted(set(batch_ids) - set(live.values_list("batch_id", flat=True)))
        # In the order of the foreign keys. _raw_delete does not look for related rows.
        for rows in (
            Attempt.objects.filter(email__batch__in=deleted),
            Email.objects.filter(batch__in=deleted),
            RejectedRow.objects.filter(batch__in=deleted),
            UploadChunk.objects.filter(batch__in=deleted),
            Lane.objects.filter(job__batch__in=deleted),
            EmailJob.objects.filter(batch__in=deleted),
            Approval.objects.filter(batch__in=deleted),
            Batch.objects.filter(pk__in=deleted),
        ):
            rows._raw_delete(rows.db)
        for batch in locked:
            if batch.pk in deleted:
                audit.record(AuditAction.ADMIN_CHANGE, batch, act="delete", count=batch.total_count)
    return len(deleted)
