"""Create a job: the first send of a draft, or a replay of a batch that has ended.

A batch and a template enter; a job with its lanes leaves, and its work items are enqueued after the commit. A trial
message is rendered before the transaction: that takes up to ten seconds in a child process, and no caller should wait
for a lock that long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Coalesce, Now
from django.utils.formats import date_format

from batches.jobs import lifecycle, senders
from batches.jobs.lifecycle import JobRefused
from batches.jobs.user_limits import check_limits
from batches.models import (
    Attempt,
    Batch,
    BatchStatus,
    Email,
    EmailJob,
    EmailStatus,
    EmailTemplate,
    JobKind,
    JobPriority,
    Lane,
    sql,
)
from batches.outcomes import Outcome
from batches.permissions import Act, require_act
from batches.rendering import children
from batches.rendering.template import MessageParts, TemplateFault, make_context


class TemplateRefused(JobRefused):
    """The template does not fit the list. The message says why and what to do."""


_REPLAYED = {
    JobKind.FAILED: (EmailStatus.FAILED,),
    JobKind.UNKNOWN: (EmailStatus.UNKNOWN,),
    JobKind.UNSENT: (EmailStatus.FAILED, EmailStatus.CANCELLED),
    JobKind.ALL: (EmailStatus.SENT, EmailStatus.FAILED, EmailStatus.UNKNOWN, EmailStatus.CANCELLED),
}
"""The emails that a replay sends, by their status. Suppressed emails are in none, and no email of an erased person."""


def send_once(
    batch: Batch,
    *,
    template: EmailTemplate,
    user: User | AnonymousUser | None,
    subject: str | None = None,
    priority: str = JobPriority.DEFAULT,
    scheduled_at: datetime | None = None,
    sender: str | None = None,
) -> EmailJob:
    """Find the first job of a batch, or create it. Safe to call twice and concurrently: one job is created.

    Args:
        subject: Replaces the template's subject, unless it is empty.
        sender: The key or address of the sender. None or empty: see ``senders.choose_sender``.

    Raises:
        TemplateRefused: The template can't be rendered for this list.
        SenderRefused: The user may not use the sender, or no mail can come from it.
        NotPermitted: The user may not send the batch.
        LargeListRefused, LimitReached: It is more than the user may send.
        JobRefused: The batch has no recipients.
    """
    return _find_first_job(batch) or _create_first(
        batch,
        template=template,
        user=user,
        subject=subject,
        priority=priority,
        scheduled_at=scheduled_at,
        sender=sender,
        find_former=_find_first_job,
    )


def create_job(
    batch: Batch,
    *,
    template: EmailTemplate,
    user: User | AnonymousUser | None,
    subject: str | None = None,
    priority: str = JobPriority.DEFAULT,
    scheduled_at: datetime | None = None,
    sender: str | None = None,
) -> EmailJob:
    """Start the first send of a draft, now or at a time. The arguments are those of ``send_once``.

    Raises:
        TemplateRefused: The template can't be rendered for this list.
        SenderRefused: The user may not use the sender, or no mail can come from it.
        NotPermitted: The user may not send the batch.
        LargeListRefused, LimitReached: It is more than the user may send.
        JobRefused: The batch has no recipients, or it was already sent.
    """
    return _create_first(
        batch,
        template=template,
        user=user,
        subject=subject,
        priority=priority,
        scheduled_at=scheduled_at,
        sender=sender,
        find_former=_refuse_sent,
    )


def _create_first(
    batch: Batch,
    *,
    template: EmailTemplate,
    user: User | AnonymousUser | None,
    subject: str | None,
    priority: str,
    scheduled_at: datetime | None,
    sender: str | None,
    find_former: Callable[[Batch], EmailJob | None],
) -> EmailJob:
    """Create the first job of a batch, unless ``find_former`` returns a job of the locked batch, or refuses it."""
    require_act(user, batch, Act.SEND)
    parts = MessageParts.of(template, subject)
    chosen = senders.copy_chosen(sender, template=template, user=user)
    _render_trial(batch, parts, user_id=user.pk if user is not None else None)
    with transaction.atomic():
        # The lock makes callers that want to send the same batch wait for the one that creates the job.
        locked = _lock(batch)
        job = find_former(locked)
        if job is None:
            job = _new_job(batch, parts, template=template, user=user, sender=chosen)
            _open_first(job, locked, priority=priority, scheduled_at=scheduled_at)
    batch.refresh_from_db()
    return job


def _refuse_sent(batch: Batch) -> None:
    if batch.status != BatchStatus.DRAFT:
        raise JobRefused(f"Batch {batch.pk} was already sent. Use replay to send it, or the emails that failed, again.")


def replay_batch(
    batch: Batch,
    *,
    which: JobKind,
    user: User | AnonymousUser | None,
    include_unknown: bool = False,
    sender: str | None = None,
) -> EmailJob:
    """Send a part of an ended batch again, as a new job with the message parts and priority of the last one.

    Only a replay of all sends to people who have the mail. Their emails stay known as sent: see ``_reset_sent``.

    Args:
        include_unknown: With the kind *unsent*, send also to those of whom nobody knows whether they have the mail.
        sender: The key or address of another sender. None or empty: the sender of the last job, as it was then.

    Raises:
        SenderRefused: The user may not use the sender, or no mail can come from it.
        NotPermitted: The user may not replay the batch.
        LargeListRefused, LimitReached: It is more than the user may send.
        JobRefused: The batch is live, was never sent, or has no such emails.
    """
    if which not in _REPLAYED:
        raise JobRefused("Say which emails to send again: failed, unknown, unsent or all.")
    if include_unknown and which != JobKind.UNSENT:
        raise JobRefused("Only a replay of the unsent can include the unknown. Leave that out, or choose unsent.")
    require_act(user, batch, Act.RESTART)
    statuses = (*_REPLAYED[which], EmailStatus.UNKNOWN) if include_unknown else _REPLAYED[which]
    with transaction.atomic():
        locked = _lock(batch)
        _refuse_purged(locked)
        last = _find_last_job(locked)
        chosen = senders.copy_last(last, sender, user=user)
        # Counted before they are reset: what is over a limit must not rewrite a million rows first.
        check_limits(user, Email.objects.filter(batch=batch, status__in=statuses).count())
        count = (_reset_sent(batch) if EmailStatus.SENT in statuses else 0) + _reset_unsent(batch, statuses)
        if not count:
            raise JobRefused(_say_none(batch, which))
        lifecycle.recount_ended_batch(batch.pk)
        job = _new_job(batch, MessageParts.of(last), template=last.template, user=user, sender=chosen)
        job.kind, job.priority, job.total_count = which, last.priority, count
        job.template_key = last.template_key
        _open(job)
    batch.refresh_from_db()
    return job


def _refuse_purged(batch: Batch) -> None:
    if batch.purged_at is not None:
        raise JobRefused(
            f"The addresses of batch {batch.pk} were removed on {date_format(batch.purged_at)}, so it can't be sent "
            "again. Upload the list again, and send that."
        )


def _reset_sent(batch: Batch) -> int:
    """Make the sent emails of a batch pending, and return how many. Needs the batch's row locked.

    Each keeps in ``sent_before_at`` that it was sent, and its Attempt keeps the reply. At the end of the job,
    ``lifecycle.finish_job`` sets the status to sent for those that it did not send.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql.ADD_MISSING_ATTEMPTS, {"batch": batch.pk})
    return Email.objects.filter(~Q(address=""), batch=batch, status=EmailStatus.SENT).update(
        status=EmailStatus.PENDING,
        attempts=0,
        next_attempt_at=None,
        relay=None,
        sent_before_at=Coalesce("completed_at", Now()),
    )


def _reset_unsent(batch: Batch, statuses: Sequence[EmailStatus]) -> int:
    """Make the emails of these statuses pending, except those that were sent, and return how many.

    No email with another status than sent has an Attempt that was sent. It is looked up, because this is where
    somebody would get the mail twice.
    """
    sent = Attempt.objects.filter(email=OuterRef("pk"), outcome=Outcome.SENT)
    unsent = [status for status in statuses if status != EmailStatus.SENT]
    return Email.objects.filter(~Exists(sent), ~Q(address=""), batch=batch, status__in=unsent).update(
        status=EmailStatus.PENDING,
        attempts=0,
        next_attempt_at=None,
        completed_at=None,
        code=None,
        reply="",
        relay=None,
    )


def _say_none(batch: Batch, which: JobKind) -> str:
    if which != JobKind.UNSENT:
        kind = "" if which == JobKind.ALL else f"{which.value} "
        return f"Batch {batch.pk} has no {kind}emails."
    unknown = Email.objects.filter(batch=batch, status=EmailStatus.UNKNOWN).count()
    if unknown:
        return f"Batch {batch.pk} has no failed or cancelled emails, but {unknown:,} unknown. Include the unknown."
    return f"Everybody in batch {batch.pk} has got the email."


def _find_first_job(batch: Batch) -> EmailJob | None:
    return batch.jobs.order_by("pk").first()


def _find_last_job(batch: Batch) -> EmailJob:
    last = batch.jobs.order_by("-pk").first()
    if last is None:
        raise JobRefused(f"Batch {batch.pk} was never sent. Send it first.")
    if last.completed_at is None:
        raise JobRefused(f"Batch {batch.pk} is being sent. Wait until it has ended, or cancel it, before a replay.")
    return last


def _render_trial(batch: Batch, parts: MessageParts, *, user_id: int | None) -> None:
    """Render the trial message: that of the first email, in a child process unless the template is plain."""
    first = batch.emails.filter(status=EmailStatus.PENDING).order_by("row").first()
    try:
        children.analyse_sound(parts, batch, user_id=user_id)
        if first is None:
            return
        context = make_context(batch.merge_fields, first.fields, address=first.address)
        children.render(parts, context, address_heading=batch.address_heading, user_id=user_id)
    except TemplateFault as exc:
        raise TemplateRefused(str(exc)) from exc


def _lock(batch: Batch) -> Batch:
    """Lock the batch's row until the transaction ends, as every transition of a batch does."""
    return Batch.objects.select_for_update().get(pk=batch.pk)


def _new_job(
    batch: Batch,
    parts: MessageParts,
    *,
    template: EmailTemplate | None,
    user: User | AnonymousUser | None,
    sender: senders.JobSender,
) -> EmailJob:
    """Make a job that is not saved yet."""
    return EmailJob(
        batch=batch,
        template=template,
        template_key=template.key if template else "",
        created_by=user if isinstance(user, User) else None,
        **asdict(sender),
        **asdict(parts),
    )


def _open_first(job: EmailJob, locked: Batch, *, priority: str, scheduled_at: datetime | None) -> None:
    """Open the first job of a draft. Needs the batch's row locked."""
    if not locked.total_count:
        raise JobRefused(f"Batch {locked.pk} has no recipients. Upload a list with at least one good row.")
    if not locked.to_send_count:
        raise JobRefused(f"Nobody in batch {locked.pk} wants mail from this site. Upload a list with other recipients.")
    check_limits(job.created_by, locked.to_send_count)
    job.kind, job.priority, job.total_count = JobKind.FIRST, priority, locked.to_send_count
    job.scheduled_at, job.status = scheduled_at, lifecycle.first_status(scheduled_at)
    _open(job)
    locked.upload_chunks.all().delete()  # a batch that was sent can't be read again


def _open(job: EmailJob) -> None:
    """Insert a job with its lanes, and enqueue their work items after the commit. Needs the batch's row locked."""
    try:
        with transaction.atomic():
            job.save(force_insert=True)
    except IntegrityError as exc:
        raise JobRefused(f"Batch {job.batch_id} is already being sent. Wait until it has ended, or cancel it.") from exc
    # One lane for each window of emails: a list of a hundred needs no four workers.
    lane_count = max(1, min(settings.SEND_LANES, -(-job.total_count // settings.SEND_WINDOW)))
    Lane.objects.bulk_create(Lane(job=job, number=number) for number in range(lane_count))
    lifecycle.follow_job_status(job)
