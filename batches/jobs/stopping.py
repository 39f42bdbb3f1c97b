"""Stop the jobs of which too much failed or came back, and let a canary go first.

The sweep calls ``stop_jobs`` and ``advance_canaries``. Resuming and replaying call ``read_share``: a person has
seen that share, and wants the rest to go out nevertheless.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django.conf import settings
from django.db import connection, transaction

from batches import audit, progress
from batches.delivery.stopping import CANARY_JUDGED_FROM_COUNT, JUDGED_FROM_COUNT, find_reason, measure_share
from batches.models import AuditAction, Batch, EmailJob, EmailStatus, JobStatus, sql

logger = logging.getLogger(__name__)

CANARY_COUNT = JUDGED_FROM_COUNT
"""How many emails of a batch go first."""

SENDING = (JobStatus.QUEUED, JobStatus.PROCESSING)


def find_canary_end(batch: Batch) -> int | None:
    """Return the row of the last email of the canary. None: canaries are off, or the batch is no larger than one."""
    if settings.SEND_CANARY_SECONDS <= 0 or batch.total_count <= CANARY_COUNT:
        return None
    pending = batch.emails.filter(status=EmailStatus.PENDING).order_by("row").values_list("row", flat=True)
    first = list(pending[: CANARY_COUNT + 1])
    return first[CANARY_COUNT - 1] if len(first) > CANARY_COUNT else None


def read_share(batch_id: int) -> float:
    """Return the share of failures and returns of a batch, in percent: what a person accepts who starts it now.

    It does not depend on a setting, because the web process may have others than the workers. A batch that stopped
    has no canary any more, so the fewer emails of one are judged here always.
    """
    shares = (measure_share(row, judged_from=CANARY_JUDGED_FROM_COUNT) for row in _read_rows([batch_id]))
    return max(shares, default=0.0)


def stop_jobs() -> int:
    """Pause each job that is being sent and of whose batch too much failed or came back. Returns how many."""
    if settings.SEND_STOP_ABOVE <= 0:
        return 0
    jobs = dict(
        EmailJob.objects.filter(status__in=SENDING, completed_at=None, started_at__isnull=False).values_list(
            "batch_id", "pk"
        )
    )
    return sum(_stop_if_above(jobs[row.batch_id], row) for row in _read_rows(list(jobs))) if jobs else 0


def _stop_if_above(job_id: int, row: sql.SnapshotRow) -> bool:
    reason = find_reason(row, settings.SEND_STOP_ABOVE)
    if reason is None:
        return False
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(sql.STOP_JOB, reason.arguments(job_id, settings.SEND_STOP_ABOVE))
            if not cursor.rowcount:
                return False
        audit.record(AuditAction.PAUSE, Batch.objects.get(pk=row.batch_id), job=job_id, reason="too much came back")
        transaction.on_commit(lambda: progress.publish(row.batch_id))
    logger.warning("Job %s is paused. %s", job_id, reason.sentence, extra={"action": "stop_job", "job": job_id})
    return True


def advance_canaries() -> None:
    """Begin the wait of each canary that was sent, and end each wait that is over.

    Call it after ``stop_jobs``: a canary of which too much came back must not go on.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql.BEGIN_CANARY_WAITS, {"seconds": max(0.0, settings.SEND_CANARY_SECONDS)})
        changed = [batch_id for (batch_id,) in cursor.fetchall()]
        cursor.execute(sql.END_CANARIES)
        changed += [batch_id for (batch_id,) in cursor.fetchall()]
    for batch_id in set(changed):
        progress.publish(batch_id)


def _read_rows(batch_ids: Sequence[int]) -> list[sql.SnapshotRow]:
    with connection.cursor() as cursor:
        cursor.execute(sql.SNAPSHOTS, {"batches": list(batch_ids)})
        return sql.SNAPSHOTS.rows(cursor.fetchall())
