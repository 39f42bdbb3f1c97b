"""Pause, resume, start, cancel and finish a job: every transition of an EmailJob that exists, and of its Batch.

Each public function opens its own transaction, unless its docstring says otherwise. It enqueues and publishes after
the commit.
"""

from __future__ import annotations

import logging
from datetime import datetime

from django.contrib.auth.models import AnonymousUser, User
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from batches import audit, progress
from batches.jobs import queues
from batches.jobs.end_events import emit_end
from batches.jobs.left_out import remember_left_out
from batches.jobs.stopping import read_share
from batches.models import (
    WAS_SENT,
    AuditAction,
    Batch,
    BatchStatus,
    Email,
    EmailJob,
    EmailStatus,
    JobKind,
    JobStatus,
    sql,
)
from batches.returns.refusals import record_refusals

logger = logging.getLogger(__name__)


class JobRefused(Exception):
    """The job can't do this now. The message says why and what to do."""

    http_status = 409
    page_status = 422
    """What a page answers whose form shows the message."""


_BATCH_STATUS_OF_JOB = {
    JobStatus.SCHEDULED: BatchStatus.SCHEDULED,
    JobStatus.QUEUED: BatchStatus.PENDING,
    JobStatus.PROCESSING: BatchStatus.PROCESSING,
    JobStatus.PAUSED: BatchStatus.PAUSED,
}


def first_status(scheduled_at: datetime | None) -> JobStatus:
    """The status in which a job begins, or begins again: it waits for its time, or is queued now."""
    return JobStatus.SCHEDULED if scheduled_at and scheduled_at > timezone.now() else JobStatus.QUEUED


def pause_batch(batch: Batch) -> None:
    """Stop claiming emails. The emails in flight are finished.

    Raises:
        JobRefused: The batch is not being sent.
    """
    with transaction.atomic():
        _transition(batch, from_=(JobStatus.SCHEDULED, JobStatus.QUEUED, JobStatus.PROCESSING), to=JobStatus.PAUSED)
        audit.record(AuditAction.PAUSE, batch)


def resume_batch(batch: Batch, *, by: User | AnonymousUser | None = None) -> None:
    """Send the rest of a paused batch. A batch that was paused before its time waits for that time.

    If the breaker paused the job, resuming accepts its refusals: the job's ``accepted_refusal`` holds them already, and
    only a paused job has ones that nobody has accepted. Resuming also accepts the share of failures and returns. If the
    job waited for a relay or a quota, it waits on, and still says so.

    Args:
        by: The user who answers for the job from now on, if the account of the one who made it is not active.

    Raises:
        JobRefused: The batch is not paused.
    """
    with transaction.atomic():
        # Locked, so that the wait is judged and the status changed at once.
        job = EmailJob.objects.select_for_update().filter(batch=batch, status=JobStatus.PAUSED).first()
        if job and isinstance(by, User):
            EmailJob.objects.filter(pk=job.pk).update(resumed_by=by)
        if job:
            EmailJob.objects.filter(pk=job.pk).update(accepted_share=read_share(batch.pk))
        _transition(batch, from_=(JobStatus.PAUSED,), to=_resumed_status(job) if job else JobStatus.QUEUED)
        audit.record(AuditAction.RESUME, batch)


def _resumed_status(job: EmailJob) -> JobStatus:
    """Return the status in which a paused job goes on. A wait goes on too, unless nothing says what it is for.

    A lane may have begun to wait after the pause, when its reason was no longer noted. Such a lane starts at once, and
    says what it waits for. After a pause by the breaker there is no wait.
    """
    is_waiting = EmailJob.objects.filter(pk=job.pk, relay_retry_at__gt=Now()).exclude(last_error="").exists()
    if is_waiting:
        return JobStatus.PROCESSING  # as before the pause: only a lane that began can have noted a wait
    EmailJob.objects.filter(pk=job.pk).update(last_error="", relay_retry_at=None)
    job.lanes.filter(waits_until__gt=Now()).update(waits_until=None)
    return first_status(job.scheduled_at)


def start_due_job(job_id: int) -> bool:
    """Queue a scheduled job whose time has come. Returns whether this call queued it.

    A job for which no active user answers is not queued. The sweep pauses it: see ``inactive_users``.
    """
    with transaction.atomic():
        changed = (
            EmailJob.objects.filter(pk=job_id, status=JobStatus.SCHEDULED, scheduled_at__lte=Now(), completed_at=None)
            .answered_for()
            .update(status=JobStatus.QUEUED)
        )
        if changed:
            follow_job_status(EmailJob.objects.get(pk=job_id))
    return bool(changed)


def _transition(batch: Batch, *, from_: tuple[JobStatus, ...], to: JobStatus) -> None:
    with transaction.atomic():
        # A conditional UPDATE: of two callers at the same time, one changes the row and the other is refused.
        changed = EmailJob.objects.filter(batch=batch, status__in=from_, completed_at=None).update(status=to)
        if not changed:
            raise JobRefused(f"Batch {batch.pk} is {_name_status(batch)}; it can't be {to.label.lower()} now.")
        follow_job_status(EmailJob.objects.get(batch=batch, completed_at=None))
    batch.refresh_from_db()


def follow_job_status(job: EmailJob) -> None:
    """Give the batch the status that its live job has. After the commit, enqueue work items and publish.

    Needs a transaction in which the job's row is new or changed, so that nobody else changes it now.
    """
    status = JobStatus(job.status)
    Batch.objects.move(job.batch_id, to=_BATCH_STATUS_OF_JOB[status])
    if status == JobStatus.QUEUED:
        _enqueue_after_commit(job)
    _publish_after_commit(job.batch_id)


def _enqueue_after_commit(job: EmailJob) -> None:
    items = [
        queues.WorkItem(job_id=job.pk, lane_id=lane.pk, token=lane.token, priority=job.priority)
        for lane in job.lanes.filter(lease_until=None)
    ]
    transaction.on_commit(lambda: queues.enqueue(items))


def _publish_after_commit(batch_id: int) -> None:
    transaction.on_commit(lambda: progress.publish(batch_id))


def _name_status(batch: Batch) -> str:
    return BatchStatus(Batch.objects.get(pk=batch.pk).status).label.lower()


def cancel_batch(batch: Batch) -> None:
    """Send no more emails of a batch. The emails in flight are finished, and their decisions are recorded.

    Raises:
        JobRefused: The batch is not being sent.
    """
    with transaction.atomic():
        job = EmailJob.objects.select_for_update().filter(batch=batch, completed_at=None).first()
        if job is None or job.status == JobStatus.CANCELLED:
            raise JobRefused(f"Batch {batch.pk} is {_name_status(batch)}; there is nothing to cancel.")
        EmailJob.objects.filter(pk=job.pk).update(status=JobStatus.CANCELLED)
        Batch.objects.filter(pk=batch.pk).update(status=BatchStatus.CANCELLED)
        audit.record(AuditAction.CANCEL, batch, job=job.pk)
    finish_job(job.pk)
    batch.refresh_from_db()


def finish_job(job_id: int) -> bool:
    """End a job that has no email pending or sending. Returns whether this call ended it.

    Cancels the pending emails of a cancelled job: all of them if no lane is leased, otherwise those that no lane can
    be sending. Safe to call at any time, from many processes.
    """
    with transaction.atomic():
        # Locked, so that one caller closes the job and the others find it closed.
        job = EmailJob.objects.select_for_update().filter(pk=job_id, completed_at=None).first()
        if job is None or job.status == JobStatus.SCHEDULED:
            return False
        is_over = _is_over(job)
        if job.status == JobStatus.CANCELLED:
            _cancel_pending(job, is_over=is_over)
        _publish_after_commit(job.batch_id)
        if not is_over:
            return False
        counts = _count(job.batch_id, lane_ids=list(job.lanes.values_list("pk", flat=True)))
        # A cancelled replay of all leaves the emails that were sent before pending. They are restored below.
        unfinished = counts.unfinished - (counts.resending if job.status == JobStatus.CANCELLED else 0)
        if unfinished:
            _find_overlooked(job, count=unfinished)
            return False
        if counts.job_failed:
            record_refusals(job)
        if job.kind == JobKind.ALL:
            _restore_sent(job.batch_id)
        _close(job, counts)
    remember_left_out(job.batch_id)
    return True


def _cancel_pending(job: EmailJob, *, is_over: bool) -> None:
    """Cancel the pending emails. While a lane is leased, leave its row range alone: first attempts may be in flight.

    Emails that were sent before a replay of all are left alone: the end of the job restores them. Emails in doubt end
    as unknown, because nobody can say that they were not sent.

    A lane that is acquired after ``_is_over`` looked finds the job cancelled before it claims an email.
    """
    pending = Q() if is_over else Q(next_attempt_at__isnull=False) | Q(row__gt=job.handed_out_to_row)
    Email.objects.filter(pending, ~WAS_SENT, batch=job.batch_id, status=EmailStatus.PENDING).update(
        status=EmailStatus.CANCELLED, completed_at=Now(), next_attempt_at=None
    )
    if is_over:
        with connection.cursor() as cursor:
            cursor.execute(sql.KEEP_DOUBT, {"batch": job.batch_id, "is_replay": job.kind != JobKind.FIRST})


def _restore_sent(batch_id: int) -> None:
    """Set the status to sent for emails that an earlier job sent and a replay of all did not.

    Needs the job's row locked. Their state was sent all the time. Now their rows say so too.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql.RESTORE_SENT, {"batch": batch_id})


def _is_over(job: EmailJob) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(sql.JOBS_TO_FINISH, {"job": job.pk})
        return cursor.fetchone() is not None


def _find_overlooked(job: EmailJob, *, count: int) -> None:
    """Let the lanes go over the whole list again, because emails are left that no lane claimed.

    A guard against a defect of ours: no email is lost by it. Needs the job's row locked.
    """
    logger.error("Job %s has %s emails that no lane claimed; starting again at the first row.", job.pk, count)
    with connection.cursor() as cursor:
        cursor.execute(sql.EXPIRE_STRAY_LANES, {"job": job.pk, "batch": job.batch_id})
        if not cursor.rowcount:  # otherwise the sweep has to reap those lanes first
            cursor.execute(sql.START_OVER, {"job": job.pk})


def _close(job: EmailJob, counts: sql.BatchCounts) -> None:
    """Record the counts and the terminal status of a job that is over. Needs the job's row locked."""
    # The batch before the job: a snapshot adds the lanes' counts to the batch's until the job is completed.
    _store(job.batch_id, counts)
    status, batch_status = _terminal_statuses(job, counts)
    EmailJob.objects.filter(pk=job.pk).update(
        status=status,
        sent_count=counts.job_sent,
        failed_count=counts.job_failed,
        started_at=job.started_at or Now(),
        completed_at=Now(),
        relay_retry_at=None,
        relay_failure_count=0,
    )
    Batch.objects.move(job.batch_id, to=batch_status)
    with connection.cursor() as cursor:
        cursor.execute(sql.ADD_LAST_MARK, {"job": job.pk})
    emit_end(job, status=batch_status, counts=counts, lane_ids=list(job.lanes.values_list("pk", flat=True)))


def _terminal_statuses(job: EmailJob, counts: sql.BatchCounts) -> tuple[JobStatus, BatchStatus]:
    """How the job and its batch ended. A batch with one sent email has not failed, whichever job sent it.

    A job has not failed either if all its recipients were suppressed before their turn.
    """
    if job.status == JobStatus.CANCELLED:
        return JobStatus.CANCELLED, BatchStatus.CANCELLED
    is_all_suppressed = not (counts.sent or counts.failed or counts.unknown)
    return (
        JobStatus.COMPLETED if counts.job_sent or is_all_suppressed else JobStatus.FAILED,
        BatchStatus.COMPLETED if counts.sent or is_all_suppressed else BatchStatus.FAILED,
    )


def recount_ended_batch(batch_id: int) -> None:
    """Set the counts of a batch without a live job to those of its emails. Needs the batch's row locked."""
    _store(batch_id, _count(batch_id, lane_ids=[]))


def _count(batch_id: int, *, lane_ids: list[int]) -> sql.BatchCounts:
    with connection.cursor() as cursor:
        cursor.execute(sql.COUNT_BATCH, {"batch": batch_id, "lanes": lane_ids})
        return sql.COUNT_BATCH.rows(cursor.fetchall())[0]


def _store(batch_id: int, counts: sql.BatchCounts) -> None:
    Batch.objects.filter(pk=batch_id).update(
        sent_count=counts.sent,
        failed_count=counts.failed,
        unknown_count=counts.unknown,
        suppressed_count=counts.suppressed,
        cancelled_count=counts.cancelled,
    )
