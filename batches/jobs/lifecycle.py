"""Create, pause, resume, cancel, replay and finish a job: every transition of EmailJob and its Batch.

Each public function opens its own transaction, and rings and publishes after the commit.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.db import IntegrityError, connection, transaction
from django.db.models import Q, Sum
from django.db.models.functions import Now
from django.utils import timezone

from batches import progress
from batches.jobs import queues
from batches.models import (
    Batch,
    BatchStatus,
    Email,
    EmailJob,
    EmailStatus,
    EmailTemplate,
    JobKind,
    JobPriority,
    JobStatus,
    Lane,
    repair_sql,
    sql,
)
from batches.rendering.message import SenderFault, sender_address
from batches.rendering.preview import render_preview
from batches.rendering.template import CompiledTemplate, TemplateFault

logger = logging.getLogger(__name__)


class JobRefused(Exception):
    """What was asked can't be done now. The message says why and what to do."""


class TemplateRefused(JobRefused):
    """The template does not fit the list. The message says why and what to do."""


_BATCH_STATUS_OF_JOB = {
    JobStatus.SCHEDULED: BatchStatus.SCHEDULED,
    JobStatus.QUEUED: BatchStatus.PENDING,
    JobStatus.PROCESSING: BatchStatus.PROCESSING,
    JobStatus.PAUSED: BatchStatus.PAUSED,
}
_REPLAYED = {
    JobKind.FAILED: (EmailStatus.FAILED,),
    JobKind.UNKNOWN: (EmailStatus.UNKNOWN,),
    JobKind.ALL: (EmailStatus.SENT, EmailStatus.FAILED, EmailStatus.UNKNOWN, EmailStatus.CANCELLED),
}


def create_job(
    batch: Batch,
    *,
    template: EmailTemplate,
    user: User | AnonymousUser | None,
    subject: str | None = None,
    priority: str = JobPriority.DEFAULT,
    scheduled_at: datetime | None = None,
) -> EmailJob:
    """Start the first send of a draft batch, now or at a time.

    Raises:
        TemplateRefused: the template can't be rendered for this list.
        JobRefused: the batch is empty, or was sent already.
    """
    _refuse_misfit(batch, template, subject)
    job = EmailJob(
        batch=batch,
        kind=JobKind.FIRST,
        status=_first_status(scheduled_at),
        priority=priority,
        template=template,
        template_key=template.key,
        subject=subject or template.subject,
        html=template.html,
        text=template.text,
        from_email=settings.DEFAULT_FROM_EMAIL,
        scheduled_at=scheduled_at,
        created_by=user if isinstance(user, User) else None,
    )
    with transaction.atomic():
        locked = Batch.objects.select_for_update().get(pk=batch.pk)
        if locked.status != BatchStatus.DRAFT:
            raise JobRefused(f"Batch {batch.pk} was sent already. Use replay to send it, or its failed part, again.")
        if not locked.total_count:
            raise JobRefused(f"Batch {batch.pk} has no recipients. Upload a list with at least one good row.")
        job.total_count = locked.total_count
        _open(job)
        locked.upload_chunks.all().delete()  # a batch that is sent can't be read again
    batch.refresh_from_db()
    return job


def _refuse_misfit(batch: Batch, template: EmailTemplate, subject: str | None) -> None:
    """Compile the template and render it for the first email, in a child with limits of its own."""
    first = batch.emails.order_by("row").first()
    context = email_context(batch, first) if first else {}
    try:
        sender_address(settings.DEFAULT_FROM_EMAIL)
        fields = set(batch.merge_fields) | {"email"}
        compiled = CompiledTemplate(subject=subject or template.subject, html=template.html, text=template.text)
        if first:
            render_preview(subject=subject or template.subject, html=template.html, text=template.text, context=context)
    except (TemplateFault, SenderFault) as exc:
        missing = sorted(compiled.merge_fields - fields) if "compiled" in locals() else []
        hint = f" The list has no column for: {', '.join(missing)}." if missing else ""
        raise TemplateRefused(f"{exc}{hint}") from exc


def email_context(batch: Batch, email: Email) -> dict[str, str]:
    """The merge fields of one email by name, the address as ``email``."""
    return dict(zip(batch.merge_fields, email.fields, strict=False)) | {"email": email.address}


def _first_status(scheduled_at: datetime | None) -> JobStatus:
    return JobStatus.SCHEDULED if scheduled_at and scheduled_at > timezone.now() else JobStatus.QUEUED


def _open(job: EmailJob) -> None:
    """Insert a job with its lanes, and ring them after the commit. Needs the batch's row locked."""
    try:
        with transaction.atomic():
            job.save(force_insert=True)
    except IntegrityError as exc:
        raise JobRefused(f"Batch {job.batch_id} is being sent already. Wait for its end, or cancel it.") from exc
    # One lane for each window of emails: a list of a hundred needs no four workers.
    lane_count = max(1, min(settings.SEND_LANES, -(-job.total_count // settings.SEND_WINDOW)))
    lanes = Lane.objects.bulk_create(Lane(job=job, number=number) for number in range(lane_count))
    Batch.objects.move(job.batch_id, to=_BATCH_STATUS_OF_JOB[JobStatus(job.status)])
    if job.status == JobStatus.QUEUED:
        _enqueue_after_commit(job, lanes)
    _publish_after_commit(job.batch_id)


def _enqueue_after_commit(job: EmailJob, lanes: list[Lane]) -> None:
    rings = [
        queues.WorkItem(job_id=job.pk, lane_id=lane.pk, token=lane.token, priority=job.priority)
        for lane in lanes
        if lane.lease_until is None
    ]
    transaction.on_commit(lambda: queues.enqueue(rings))


def _publish_after_commit(batch_id: int) -> None:
    transaction.on_commit(lambda: progress.publish(batch_id))


def replay_batch(batch: Batch, *, which: JobKind, user: User | AnonymousUser | None) -> EmailJob:
    """Send a part of a finished batch again, as a new job with the snapshot of the last one.

    Raises:
        JobRefused: the batch is live, was never sent, or has no such emails.
    """
    if which not in _REPLAYED:
        raise JobRefused("Say which emails to send again: failed, unknown or all.")
    with transaction.atomic():
        Batch.objects.select_for_update().get(pk=batch.pk)
        last = EmailJob.objects.filter(batch=batch).order_by("-pk").first()
        if last is None:
            raise JobRefused(f"Batch {batch.pk} was never sent. Send it first.")
        if last.completed_at is None:
            raise JobRefused(f"Batch {batch.pk} is being sent. Wait for its end, or cancel it, before a replay.")
        count = Email.objects.filter(batch=batch, status__in=_REPLAYED[which]).update(
            status=EmailStatus.PENDING, attempts=0, next_attempt_at=None, completed_at=None, code=None, reply=""
        )
        if not count:
            raise JobRefused(f"Batch {batch.pk} has no {'' if which == JobKind.ALL else which.value + ' '}emails.")
        _store(batch.pk, _count(batch.pk, lane_ids=[]))
        job = EmailJob(
            batch=batch,
            kind=which,
            priority=last.priority,
            template=last.template,
            template_key=last.template_key,
            subject=last.subject,
            html=last.html,
            text=last.text,
            from_email=last.from_email,
            total_count=count,
            created_by=user if isinstance(user, User) else None,
        )
        _open(job)
    batch.refresh_from_db()
    return job


def pause_batch(batch: Batch) -> None:
    """Stop claiming; what is in flight is finished.

    Raises:
        JobRefused: the batch is not being sent.
    """
    _transition(batch, from_=(JobStatus.SCHEDULED, JobStatus.QUEUED, JobStatus.PROCESSING), to=JobStatus.PAUSED)


def resume_batch(batch: Batch) -> None:
    """Go on with a paused batch; one that was paused before its time waits for it.

    Raises:
        JobRefused: the batch is not paused.
    """
    job = EmailJob.objects.filter(batch=batch, status=JobStatus.PAUSED).first()
    to = _first_status(job.scheduled_at) if job else JobStatus.QUEUED
    _transition(batch, from_=(JobStatus.PAUSED,), to=to)


def start_due_job(job_id: int) -> bool:
    """Queue a scheduled job whose time has come; whether it was this call that did."""
    with transaction.atomic():
        changed = EmailJob.objects.filter(
            pk=job_id, status=JobStatus.SCHEDULED, scheduled_at__lte=Now(), completed_at=None
        ).update(status=JobStatus.QUEUED)
        if changed:
            job = EmailJob.objects.get(pk=job_id)
            Batch.objects.move(job.batch_id, to=BatchStatus.PENDING)
            _enqueue_after_commit(job, list(job.lanes.all()))
            _publish_after_commit(job.batch_id)
    return bool(changed)


def _transition(batch: Batch, *, from_: tuple[JobStatus, ...], to: JobStatus) -> None:
    with transaction.atomic():
        changed = EmailJob.objects.filter(batch=batch, status__in=from_, completed_at=None).update(status=to)
        if not changed:
            raise JobRefused(f"Batch {batch.pk} is {_state(batch)}; it can't be {to.label.lower()} now.")
        Batch.objects.move(batch.pk, to=_BATCH_STATUS_OF_JOB[to])
        if to == JobStatus.QUEUED:
            job = EmailJob.objects.get(batch=batch, completed_at=None)
            _enqueue_after_commit(job, list(job.lanes.all()))
        _publish_after_commit(batch.pk)
    batch.refresh_from_db()


def _state(batch: Batch) -> str:
    return BatchStatus(Batch.objects.get(pk=batch.pk).status).label.lower()


def cancel_batch(batch: Batch) -> None:
    """Send nothing more of a batch; what is in flight is finished and keeps its outcome.

    Raises:
        JobRefused: the batch is not being sent.
    """
    with transaction.atomic():
        job = EmailJob.objects.select_for_update().filter(batch=batch, completed_at=None).first()
        if job is None or job.status == JobStatus.CANCELLED:
            raise JobRefused(f"Batch {batch.pk} is {_state(batch)}; there is nothing to cancel.")
        EmailJob.objects.filter(pk=job.pk).update(status=JobStatus.CANCELLED)
        Batch.objects.filter(pk=batch.pk).update(status=BatchStatus.CANCELLED)
    finish_job(job.pk)
    batch.refresh_from_db()


def finish_job(job_id: int) -> bool:
    """End a job none of whose emails is pending or sending; whether it was this call that did.

    What a cancelled job has left is cancelled: all of it when no lane is held, else what no lane may be sending.
    Safe to call at any time, from many processes.
    """
    with transaction.atomic():
        job = EmailJob.objects.select_for_update().filter(pk=job_id, completed_at=None).first()
        if job is None or job.status == JobStatus.SCHEDULED:
            return False
        is_over = _is_over(job)
        if job.status == JobStatus.CANCELLED:
            _cancel_pending(job, is_over=is_over)
        _publish_after_commit(job.batch_id)
        return is_over and _close(job)


def _cancel_pending(job: EmailJob, *, is_over: bool) -> None:
    """Cancel what is left. Until no lane is held, their row ranges are not touched: first tries may be under way there.

    A lane that is taken after the look at them finds the job cancelled before it claims anything.
    """
    left = Q() if is_over else Q(next_attempt_at__isnull=False) | Q(row__gt=job.handed_out_to_row)
    Email.objects.filter(left, batch=job.batch_id, status=EmailStatus.PENDING).update(
        status=EmailStatus.CANCELLED, completed_at=Now(), next_attempt_at=None
    )


def _is_over(job: EmailJob) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(repair_sql.JOBS_TO_FINISH, {"job": job.pk})
        return cursor.fetchone() is not None


def _close(job: EmailJob) -> bool:
    """Record the true counts of a job that has ended; whether it had. Needs the job's row locked."""
    counts = _count(job.batch_id, lane_ids=list(job.lanes.values_list("pk", flat=True)))
    if counts.unsettled:
        # Rare enough that it was never seen; no email is lost by it.
        logger.error(
            "Job %s has %s emails that no lane found; looking from the first row again.", *(job.pk, counts.unsettled)
        )
        with connection.cursor() as cursor:
            cursor.execute(repair_sql.EXPIRE_STRAY_LANES, {"job": job.pk, "batch": job.batch_id})
            if not cursor.rowcount:  # else the sweep reaps them first
                cursor.execute(repair_sql.START_OVER, {"job": job.pk})
        return False
    # The batch first, then the job: a snapshot adds the lanes of a job that is not completed.
    _store(job.batch_id, counts)
    status = job.status
    if status != JobStatus.CANCELLED:
        status = JobStatus.COMPLETED if counts.job_sent else JobStatus.FAILED
    EmailJob.objects.filter(pk=job.pk).update(
        status=status,
        sent_count=counts.job_sent,
        failed_count=counts.job_failed,
        started_at=job.started_at or Now(),
        completed_at=Now(),
        relay_retry_at=None,
        relay_failure_count=0,
    )
    batch_status = BatchStatus.CANCELLED
    if status != JobStatus.CANCELLED:
        batch_status = BatchStatus.COMPLETED if counts.sent else BatchStatus.FAILED
    Batch.objects.move(job.batch_id, to=batch_status)
    return True


class _Counts(NamedTuple):
    """The columns of ``sql.COUNT_BATCH``."""

    sent: int
    failed: int
    unknown: int
    suppressed: int
    cancelled: int
    unsettled: int
    job_sent: int
    job_failed: int


def _count(batch_id: int, *, lane_ids: list[int]) -> _Counts:
    with connection.cursor() as cursor:
        cursor.execute(sql.COUNT_BATCH, {"batch": batch_id, "lanes": lane_ids})
        return _Counts(*cursor.fetchone())


def _store(batch_id: int, counts: _Counts) -> None:
    """Set a batch's counts to those of the table."""
    Batch.objects.filter(pk=batch_id).update(
        sent_count=counts.sent,
        failed_count=counts.failed,
        unknown_count=counts.unknown,
        suppressed_count=counts.suppressed,
        cancelled_count=counts.cancelled,
    )


def count_job(job: EmailJob) -> tuple[int, int]:
    """How many a job has sent and failed so far: the sum over its lanes while it is live."""
    if job.completed_at is not None:
        return job.sent_count, job.failed_count
    sums = job.lanes.aggregate(sent=Sum("sent_count", default=0), failed=Sum("failed_count", default=0))
    return sums["sent"], sums["failed"]


def find_default_template() -> EmailTemplate:
    """The template marked default.

    Raises:
        TemplateRefused: none is marked.
    """
    found = EmailTemplate.objects.filter(Q(is_default=True)).first()
    if found is None:
        raise TemplateRefused("No template is marked as default. Mark one, or name a template.")
    return found
