"""Delete batches with all that hangs on them, in a few statements however many emails that is.

Django's own cascade would load every email into memory, twice: to name them and to delete them.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from batches.models import Attempt, Batch, Email, EmailJob, Lane, RejectedRow, UploadChunk


def delete_batches(ids: Iterable[int]) -> int:
    """Delete those of the batches that are not live; how many were."""
    with transaction.atomic():
        # Locked as every transition of a batch locks it, so none becomes live while it goes.
        locked = Batch.objects.select_for_update().filter(pk__in=list(ids)).order_by("pk")
        batch_ids = [batch.pk for batch in locked]
        live = EmailJob.objects.filter(batch__in=batch_ids, completed_at=None)
        gone = sorted(set(batch_ids) - set(live.values_list("batch_id", flat=True)))
        # In the order of their foreign keys, and without asking Django what else hangs on them.
        for rows in (
            Attempt.objects.filter(email__batch__in=gone),
            Email.objects.filter(batch__in=gone),
            RejectedRow.objects.filter(batch__in=gone),
            UploadChunk.objects.filter(batch__in=gone),
            Lane.objects.filter(job__batch__in=gone),
            EmailJob.objects.filter(batch__in=gone),
            Batch.objects.filter(pk__in=gone),
        ):
            rows._raw_delete(rows.db)
    return len(gone)
