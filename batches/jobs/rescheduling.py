"""Take a scheduled batch up again before it begins: another time, now, or back to a draft.

A scheduled batch and a time enter. The changed job leaves, or the batch as a draft. Nothing of such a batch was
claimed, because its lanes get no work item before its time. Each function locks the job before the batch, as every
transition of a live job does. So a batch whose time comes in the same moment either begins or is changed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from batches import audit, progress
from batches.jobs.lifecycle import JobRefused, follow_job_status
from batches.models import (
    Approval,
    ApprovalStatus,
    AuditAction,
    Batch,
    BatchStatus,
    Email,
    EmailJob,
    EmailStatus,
    JobKind,
    JobStatus,
)
from batches.send_times import say_bad_send_time


def reschedule_batch(batch: Batch, *, scheduled_at: datetime | None) -> EmailJob:
    """Give a scheduled batch another time. None: it begins now.

    A second person approved the batch with its time (docs/decisions/0045). Such a batch goes back to a draft first, and
    the change is then asked for like any other.

    Raises:
        JobRefused: It is not scheduled any more, was approved for its time, or can't be sent at that time.
    """
    # Somebody who types a time that has passed has mistyped it, and does not want the mail to go out now.
    if scheduled_at is not None and (
        fault := say_bad_send_time(scheduled_at, now=timezone.now(), passed_max=timedelta())
    ):
        raise JobRefused(fault)
    with transaction.atomic():
        job = _lock_scheduled(batch)
        if _find_approvals(job).exists():
            raise JobRefused(
                _(
                    "This batch was approved for its time. Take it back to a draft, choose the other time there, and "
                    "ask for approval again."
                )
            )
        job.scheduled_at = scheduled_at
        job.status = JobStatus.SCHEDULED if scheduled_at else JobStatus.QUEUED
        job.save(update_fields=["scheduled_at", "status"])
        follow_job_status(job)
        at = scheduled_at.isoformat() if scheduled_at else "now"
        audit.record(AuditAction.RESCHEDULE, batch, job=job.pk, scheduled_at=at)
    batch.refresh_from_db()
    return job


def return_to_draft(batch: Batch) -> Batch:
    """Make a scheduled batch a draft again, as if it had never been sent. Its approval becomes void.

    Raises:
        JobRefused: It is not scheduled any more, or it is a replay.
    """
    with transaction.atomic():
        job = _lock_scheduled(batch)
        if job.kind != JobKind.FIRST:
            raise JobRefused(_("This batch was sent before, so it can't be a draft again. Cancel it instead."))
        locked = Batch.objects.select_for_update().get(pk=batch.pk)
        for approval in _find_approvals(job):
            reason = _("The batch was taken back to a draft.")
            Approval.objects.filter(pk=approval.pk).update(status=ApprovalStatus.VOID, reason=reason)
            audit.record(AuditAction.APPROVAL_VOID, approval)
        audit.record(AuditAction.WITHDRAW, locked, job=job.pk)
        # Nothing refers to the job: it has claimed no email, and the audit names it by its number.
        job.delete()
        restored = _restore_suppressed(locked)
        Batch.objects.filter(pk=locked.pk).update(
            status=BatchStatus.DRAFT,
            completed_at=None,
            suppressed_count=max(0, locked.suppressed_count - restored),
            is_listed=False,  # its list may change now, so the directory reads it again when it is sent
            listed_to_row=0,
        )
        transaction.on_commit(lambda: progress.publish(batch.pk))
    batch.refresh_from_db()
    return batch


def _lock_scheduled(batch: Batch) -> EmailJob:
    """Lock the job of a batch that waits for its time.

    A job that has begun never waits again. It is looked up, because a draft would be sent twice here.
    """
    jobs = EmailJob.objects.select_for_update().filter(batch=batch, completed_at=None, started_at=None)
    job = jobs.filter(status=JobStatus.SCHEDULED).first()
    if job is None:
        raise JobRefused(_("This batch does not wait for its time any more. Look at the page again."))
    return job


def _find_approvals(job: EmailJob) -> QuerySet[Approval]:
    """Return the approval by which the job was opened, if it needed one. An earlier one of the same kind is void."""
    return Approval.objects.filter(batch_id=job.batch_id, status=ApprovalStatus.APPROVED, kind=job.kind)


def _restore_suppressed(locked: Batch) -> int:
    """Make the emails pending again that the opening of the job ended. The next opening looks at the list again.

    The emails of erased people have no address. They stay as they are.
    """
    ended = Email.objects.filter(~Q(address=""), batch=locked, status=EmailStatus.SUPPRESSED)
    return ended.update(status=EmailStatus.PENDING, completed_at=None, reply="")
