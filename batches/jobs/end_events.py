"""Tell webhooks that a job has ended, and which emails it failed, in the transaction that ends it."""

from __future__ import annotations

from batches.models import BatchStatus, EmailJob, WebhookEvent, sql
from batches.webhooks.events import emit, emit_failed_emails


def emit_end(job: EmailJob, *, status: BatchStatus, counts: sql.BatchCounts, lane_ids: list[int]) -> None:
    """Write down the events of a job's end. Needs the job's row locked, and the batch's counts stored.

    The names and the counts are those of the batch in the API. Nothing of it says who the recipients are, except the
    events about one failed email each.
    """
    emit_failed_emails(batch_id=job.batch_id, job_id=job.pk, lane_ids=lane_ids)
    emit(
        WebhookEvent.BATCH_ENDED,
        {
            "batchId": job.batch_id,
            "jobId": job.pk,
            "kind": job.kind,
            "status": status,
            "totalEmails": job.batch.total_count,
            "sentCount": counts.sent,
            "failedCount": counts.failed,
            "unknownCount": counts.unknown,
            "suppressedCount": counts.suppressed,
            "cancelledCount": counts.cancelled,
        },
    )
